/*
 * What cffi can not call directly: variadic callbacks, unions of bpf_attr, and the places where libbpf's versions differ.
 * Functions return 0, a file descriptor or a count, or a negative errno, as libbpf 1.x does.
 *
 * libbpf 0.5 to 1.x; the members of bpf_attr that the build machine's <linux/bpf.h> may be too old for are declared here,
 * since the running kernel, not the header, decides what works.
 */
#ifndef PYXDP_LIBBPF_SHIM_H
#define PYXDP_LIBBPF_SHIM_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <linux/version.h>

#if __has_include(<bpf/libbpf_version.h>) /* from 0.6 on */
#include <bpf/libbpf_version.h>
#define SHIM_LIBBPF_AT_LEAST(major, minor) \
	(LIBBPF_MAJOR_VERSION > (major) || (LIBBPF_MAJOR_VERSION == (major) && LIBBPF_MINOR_VERSION >= (minor)))
#else
#define SHIM_LIBBPF_AT_LEAST(major, minor) 0
#endif

#ifndef LIBBPF_OPTS /* its name from 0.6 on */
#define LIBBPF_OPTS DECLARE_LIBBPF_OPTS
#endif

static long shim_bpf(enum bpf_cmd command, void *attr, size_t size)
{
	long result = syscall(__NR_bpf, command, attr, size);

	return result < 0 ? -errno : result;
}

/* ---- libbpf's messages: one growing text per thread, kept between shim_log_begin() and shim_log_end() ---- */

static __thread struct {
	bool open;
	char *text;
	size_t length;
	size_t room;
} shim_log;

static int shim_log_print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	va_list again;
	int length;

	if (level == LIBBPF_DEBUG || !shim_log.open)
		return 0;
	va_copy(again, arguments);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0)
		return length;
	if (shim_log.length + length + 1 > shim_log.room) {
		size_t room = 2 * (shim_log.length + length + 1);
		char *text = realloc(shim_log.text, room);

		if (!text)
			return 0;
		shim_log.text = text;
		shim_log.room = room;
	}
	vsnprintf(shim_log.text + shim_log.length, length + 1, format, arguments);
	shim_log.length += length;
	return length;
}

static int shim_log_begin(void)
{
	if (shim_log.open)
		return -EBUSY;
	libbpf_set_print(shim_log_print);
	shim_log.open = true;
	return 0;
}

static const char *shim_log_text(void)
{
	return shim_log.text ? shim_log.text : "";
}

static void shim_log_end(void)
{
	free(shim_log.text);
	memset(&shim_log, 0, sizeof(shim_log));
}

/* ---- objects ---- */

/* NULL with errno set on failure, in every version. */
static struct bpf_object *shim_open(const void *data, size_t size, const char *name)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name);
	struct bpf_object *obj = bpf_object__open_mem(data, size, &opts);
	long error = libbpf_get_error(obj);

	if (!error)
		return obj;
	errno = -error;
	return NULL;
}

/* Store at most room maps; return how many there are. The functions behind the macro were renamed in 0.6. */
static size_t shim_maps(struct bpf_object *obj, struct bpf_map **maps, size_t room)
{
	struct bpf_map *map;
	size_t count = 0;

	bpf_object__for_each_map(map, obj) {
		if (count < room)
			maps[count] = map;
		count++;
	}
	return count;
}

static size_t shim_programs(struct bpf_object *obj, struct bpf_program **programs, size_t room)
{
	struct bpf_program *program;
	size_t count = 0;

	bpf_object__for_each_program(program, obj) {
		if (count < room)
			programs[count] = program;
		count++;
	}
	return count;
}

struct shim_variable {
	struct bpf_map *map;
	__u32 offset;
	__u32 size;
};

static int shim_map_type(const struct bpf_map *map)
{
	return bpf_map__type(map);
}

static int shim_rodata_map(struct bpf_object *obj, struct bpf_map **found)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		const char *name = bpf_map__name(map);
		size_t length = strlen(name);

		/* "<object name>.rodata"; subsections such as .rodata.str1.1 hold no variables with a name. */
		if (length >= 7 && strcmp(name + length - 7, ".rodata") == 0) {
			*found = map;
			return 0;
		}
	}
	return -ENOENT;
}

/* Where a const volatile variable is, from the DATASEC of .rodata. */
static int shim_rodata_variable(struct bpf_object *obj, const char *name, struct shim_variable *variable)
{
	const struct btf *btf = bpf_object__btf(obj);
	const struct btf_type *section;
	const struct btf_var_secinfo *info;
	int id, i, error;

	error = shim_rodata_map(obj, &variable->map);
	if (error)
		return error;
	if (!btf)
		return -ENOENT;
	id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
	if (id < 0)
		return id;
	section = btf__type_by_id(btf, id);
	info = btf_var_secinfos(section);
	for (i = 0; i < btf_vlen(section); i++, info++) {
		const struct btf_type *type = btf__type_by_id(btf, info->type);

		if (btf_is_var(type) && strcmp(btf__name_by_offset(btf, type->name_off), name) == 0) {
			variable->offset = info->offset;
			variable->size = info->size;
			return 0;
		}
	}
	return -ENOENT;
}

/* ---- maps ---- */

static int shim_map_create(__u32 type, __u32 key_size, __u32 value_size, __u32 max_entries, __u32 flags, int inner_fd,
			   const char *name)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key_size;
	attr.value_size = value_size;
	attr.max_entries = max_entries;
	attr.map_flags = flags;
	if (inner_fd >= 0)
		attr.inner_map_fd = inner_fd;
	strncpy(attr.map_name, name, sizeof(attr.map_name) - 1);
	return shim_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
}

/* Part of an array with BPF_F_MMAPABLE; both numbers are multiples of the page size. NULL with errno set on failure. */
static void *shim_map_memory(int fd, size_t offset, size_t length, bool writable)
{
	void *memory = mmap(NULL, length, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, (off_t)offset);

	return memory == MAP_FAILED ? NULL : memory;
}

static void shim_unmap_memory(void *memory, size_t length)
{
	munmap(memory, length);
}

/* One aligned store that a program sees whole, into a mapping of an array with BPF_F_MMAPABLE. */
static void shim_store_u32(void *at, __u32 value)
{
	__atomic_store_n((__u32 *)at, value, __ATOMIC_SEQ_CST);
}

static void shim_store_u64(void *at, __u64 value)
{
	__atomic_store_n((__u64 *)at, value, __ATOMIC_SEQ_CST);
}

/* Many of them, in order, width bytes each; or none if one is not aligned or not inside. */
static int shim_scatter(void *memory, size_t length, const __u64 *offsets, const void *values, size_t count,
			size_t width)
{
	const __u32 *narrow = values;
	const __u64 *wide = values;
	char *base = memory;
	size_t i;

	if (length < width && count)
		return -EINVAL;
	for (i = 0; i < count; i++)
		if (offsets[i] % width || offsets[i] > length - width)
			return -EINVAL;
	for (i = 0; i < count; i++) {
		if (width == sizeof(__u32))
			shim_store_u32(base + offsets[i], narrow[i]);
		else
			shim_store_u64(base + offsets[i], wide[i]);
	}
	return 0;
}

/* ---- programs ---- */

static int shim_prog_load(__u32 type, const void *instructions, __u32 count)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = type;
	attr.insns = (uintptr_t)instructions;
	attr.insn_cnt = count;
	attr.license = (uintptr_t)"Dual BSD/GPL";
	return shim_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
}

#define SHIM_TEST_LIVE_FRAMES (1U << 1) /* BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18 */

/* attr.test of BPF_PROG_TEST_RUN; batch_size is from Linux 5.18 and must be zero before. */
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

static int shim_prog_test_run(struct shim_test_run *run)
{
	return shim_bpf(BPF_PROG_TEST_RUN, run, sizeof(*run));
}

static int shim_verified_instructions(int fd, __u32 *count)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 16, 0)
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return -errno;
	*count = info.verified_insns;
	return 0;
#else
	*count = 0;
	return 0;
#endif
}

/* ---- links ---- */

static int shim_link_create_xdp(int prog_fd, int ifindex, bool native)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	int fd = bpf_link_create(prog_fd, ifindex, BPF_XDP, &opts);

	return fd < 0 ? -errno : fd;
}

struct shim_link_info {
	__u32 type;
	__u32 id;
	__u32 prog_id;
	__u32 ifindex; /* of an XDP link; 0: the interface is gone */
};

static int shim_link_info(int fd, struct shim_link_info *out)
{
	struct bpf_link_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return -errno;
	out->type = info.type;
	out->id = info.id;
	out->prog_id = info.prog_id;
	out->ifindex = info.type == BPF_LINK_TYPE_XDP ? info.xdp.ifindex : 0;
	return 0;
}

/* The id of the program on an interface, in whichever mode; 0 when there is none, or one in each mode. */
static int shim_xdp_program_id(int ifindex, __u32 *id)
{
#if SHIM_LIBBPF_AT_LEAST(0, 7)
	return bpf_xdp_query_id(ifindex, 0, id);
#else
	return bpf_get_link_xdp_id(ifindex, id, 0);
#endif
}

/* ---- probes ---- */

static int shim_is_bpffs(const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return -errno;
	return fs.f_type == BPF_FS_MAGIC;
}

#endif
