/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an NVMe device says of itself: the input is laid over each of the three pages. Whatever it
 * says, text is printable and ends, and numbers are in the ranges that people and sums rely on.
 */
#include "hw/device_facts/device_facts.h"
#include "tests/fuzz/fuzz.h"

static void
check_text(const char *text, size_t room)
{
	size_t i = 0;

	while (i < room && text[i] >= ' ' && text[i] <= '~')
		i++;
	REQUIRE(i < room && text[i] == 0);
	REQUIRE(i == 0 || text[i - 1] != ' ');
}

static void
check_namespace(const struct nvme_page_namespace *name_space, bool is_there)
{
	REQUIRE(name_space->format_count >= 1 && name_space->format_count <= NVME_PAGE_FORMATS_MAX);
	for (uint32_t i = 0; i < NVME_PAGE_FORMATS_MAX; i++) {
		const uint32_t bytes = name_space->formats[i].lba_bytes;
		REQUIRE(bytes == 0 || (bytes >= 512 && (bytes & (bytes - 1)) == 0));
		REQUIRE(i < name_space->format_count || bytes == 0);
	}
	if (is_there)
		REQUIRE(name_space->formats[name_space->format_in_use].lba_bytes != 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t page[NVME_PAGE_IDENTIFY_BYTES] = { 0 };
	struct nvme_page_controller controller;
	struct nvme_page_namespace name_space;
	struct nvme_page_smart smart;
	char why[DEVICE_WHY_MAX];

	/* The first byte says where in the page the rest lies: most of it is far from the front. */
	const size_t at = bytes == 0 ? 0 : (size_t)data[0] * 4;
	if (bytes > 1)
		memcpy(page + at, data + 1,
		       bytes - 1 < sizeof(page) - at ? bytes - 1 : sizeof(page) - at);
	nvme_page_controller_decode(page, &controller);
	check_text(controller.serial, sizeof(controller.serial));
	check_text(controller.model, sizeof(controller.model));
	check_text(controller.firmware, sizeof(controller.firmware));
	REQUIRE(controller.atomic_blocks >= 1 && controller.atomic_blocks <= 65536);
	const bool is_there = nvme_page_namespace_decode(page, &name_space);
	check_namespace(&name_space, is_there);
	if (is_there)
		REQUIRE(nvme_page_atomic_bytes(&controller, &name_space) >= 512);
	nvme_page_smart_decode(page, &smart);
	REQUIRE(smart.wear_pct <= 255 && smart.temperature_c >= -273);
	const struct device_facts facts = {
		.kind = DEVICE_BLOCK,
		.has_volatile_cache = controller.has_volatile_cache ? DEVICE_YES : DEVICE_NO,
		.is_flushed_by_kernel = DEVICE_NO,
	};
	REQUIRE(device_durability(&facts, why, sizeof(why)) ==
		(controller.has_volatile_cache ? DEVICE_DURABLE_UNSAFE : DEVICE_DURABLE_PLAIN));
	return 0;
}
