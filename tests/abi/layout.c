/*
 * Prints the layout that the C compiler gives to the structs of abi.h: a line "struct", "member", offset, size each, and
 * one with an empty member for the whole. The test writes layout.inc, a list of ABI_STRUCT and ABI_MEMBER lines.
 */
#include <stddef.h>
#include <stdio.h>
#include <linux/types.h>
#include <pyxdp/abi.h>

#define ABI_STRUCT(tag) printf("%s  0 %zu\n", #tag, sizeof(struct tag));
#define ABI_MEMBER(tag, name) \
	printf("%s %s %zu %zu\n", #tag, #name, offsetof(struct tag, name), sizeof(((struct tag *)0)->name));

int main(void)
{
#include "layout.inc"
	return 0;
}
