/*
 * What pyxdp.bpf calls, as cffi reads it: libbpf functions that exist from 0.5 (Ubuntu 22.04) to 1.x, the members that are
 * used of the kernel's structs ("...": the C compiler fills in the rest), and the functions of libbpf_shim.h.
 * __u8 .. __u64 are declared by setup.py.
 */

/* ---- objects ---- */
struct bpf_object;
struct bpf_map;
struct bpf_program;
int bpf_object__load(struct bpf_object *obj);
void bpf_object__close(struct bpf_object *obj);

const char *bpf_map__name(const struct bpf_map *map);
int bpf_map__fd(const struct bpf_map *map);
__u32 bpf_map__max_entries(const struct bpf_map *map);
int bpf_map__set_max_entries(struct bpf_map *map, __u32 max_entries);
int bpf_map__reuse_fd(struct bpf_map *map, int fd);
void *bpf_map__initial_value(struct bpf_map *map, size_t *size);
__u32 bpf_map__key_size(const struct bpf_map *map);
__u32 bpf_map__value_size(const struct bpf_map *map);
__u32 bpf_map__map_flags(const struct bpf_map *map);
int shim_map_type(const struct bpf_map *map);

const char *bpf_program__name(const struct bpf_program *prog);
const char *bpf_program__section_name(const struct bpf_program *prog);
int bpf_program__fd(const struct bpf_program *prog);
bool bpf_program__autoload(const struct bpf_program *prog);
int bpf_program__set_autoload(struct bpf_program *prog, bool autoload);

/* ---- one bpf() command each ---- */
int bpf_map_lookup_elem(int fd, const void *key, void *value);
int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags);
int bpf_map_delete_elem(int fd, const void *key);
int bpf_map_get_next_key(int fd, const void *key, void *next_key);
struct bpf_map_batch_opts {
	size_t sz;
	__u64 elem_flags;
	...;
};
int bpf_map_lookup_batch(int fd, void *in_batch, void *out_batch, void *keys, void *values, __u32 *count,
			 const struct bpf_map_batch_opts *opts);
int bpf_map_update_batch(int fd, void *keys, void *values, __u32 *count, const struct bpf_map_batch_opts *opts);
int bpf_obj_pin(int fd, const char *pathname);
int bpf_obj_get(const char *pathname);
int bpf_obj_get_info_by_fd(int fd, void *info, __u32 *info_len);
int bpf_prog_get_fd_by_id(__u32 id);
int bpf_map_get_fd_by_id(__u32 id);
struct bpf_link_update_opts;
int bpf_link_update(int link_fd, int new_prog_fd, const struct bpf_link_update_opts *opts);
int bpf_link_detach(int link_fd);
int libbpf_num_possible_cpus(void);

/* ---- what an fd stands for ---- */
struct bpf_map_info {
	__u32 type;
	__u32 id;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 map_flags;
	char name[16];
	...;
};
struct bpf_prog_info {
	__u32 type;
	__u32 id;
	__u8 tag[8];
	__u32 xlated_prog_len;
	__u32 jited_prog_len;
	__u64 load_time;
	__u32 nr_map_ids;
	__u64 map_ids;
	char name[16];
	...;
};
struct shim_link_info {
	__u32 type;
	__u32 id;
	__u32 prog_id;
	__u32 ifindex;
};

/* ---- ring buffers ---- */
struct ring_buffer;
extern "Python" int pyxdp_sample(void *context, void *data, size_t size);
struct ring_buffer *ring_buffer__new(int map_fd, int (*callback)(void *, void *, size_t), void *context,
				     const void *opts);
int ring_buffer__consume(struct ring_buffer *rb);
int ring_buffer__poll(struct ring_buffer *rb, int timeout_ms);
void ring_buffer__free(struct ring_buffer *rb);

/* ---- libbpf_shim.h ---- */
struct shim_variable {
	struct bpf_map *map;
	__u32 offset;
	__u32 size;
};
struct shim_test_run {
	__u32 prog_fd;
	__u32 retval;
	__u32 data_size_in;
	__u32 data_size_out;
	__u64 data_in;
	__u64 data_out;
	__u32 repeat;
	__u32 duration;
	__u32 ctx_size_in;
	__u32 ctx_size_out;
	__u64 ctx_in;
	__u64 ctx_out;
	__u32 flags;
	__u32 cpu;
	__u32 batch_size;
	__u32 pad;
};
struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	...;
};
struct __sk_buff {
	__u32 ingress_ifindex;
	...;
};
#define SHIM_TEST_LIVE_FRAMES ...
struct bpf_object *shim_open(const void *data, size_t size, const char *name);
size_t shim_maps(struct bpf_object *obj, struct bpf_map **maps, size_t room);
size_t shim_programs(struct bpf_object *obj, struct bpf_program **programs, size_t room);
int shim_rodata_variable(struct bpf_object *obj, const char *name, struct shim_variable *variable);
int shim_map_create(__u32 type, __u32 key_size, __u32 value_size, __u32 max_entries, __u32 flags, int inner_fd,
		    const char *name);
int shim_prog_load(__u32 type, const void *instructions, __u32 count);
int shim_prog_test_run(struct shim_test_run *run);
int shim_verified_instructions(int fd, __u32 *count);
int shim_link_create_xdp(int prog_fd, int ifindex, bool native);
int shim_link_info(int fd, struct shim_link_info *info);
int shim_xdp_program_id(int ifindex, __u32 *id);
void *shim_map_memory(int fd, size_t offset, size_t length, bool writable);
void shim_unmap_memory(void *memory, size_t length);
void shim_store_u32(void *at, __u32 value);
void shim_store_u64(void *at, __u64 value);
int shim_scatter(void *memory, size_t length, const __u64 *offsets, const void *values, size_t count, size_t width);
int shim_is_bpffs(const char *path);
int shim_log_begin(void);
const char *shim_log_text(void);
void shim_log_end(void);
