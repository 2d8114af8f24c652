/* SPDX-License-Identifier: Apache-2.0 */
#include "hw/device_facts/nvme_page.h"

#include <string.h>

#include "dataplane/base/bits.h"
#include "dataplane/base/le.h"

/* Identify Controller. */
#define CTRL_SERIAL   4u
#define CTRL_MODEL    24u
#define CTRL_FIRMWARE 64u
#define CTRL_VWC      525u
#define CTRL_AWUPF    528u

/* Identify Namespace. */
#define NS_BLOCKS        0u
#define NS_FEATURES      24u
#define NS_FORMATS       25u /* one less than there are */
#define NS_FORMAT_IN_USE 26u
#define NS_NAWUPF        36u
#define NS_NABSPF        44u
#define NS_FORMAT_TABLE  128u
#define NS_HAS_ATOMICS   0x02u /* of the features: NAWUPF holds, not AWUPF */
#define LBA_SHIFT_MIN    9u
#define LBA_SHIFT_MAX    30u

/* SMART / Health Information. */
#define SMART_WARNING          0u
#define SMART_TEMPERATURE      1u
#define SMART_SPARE            3u
#define SMART_SPARE_THRESHOLD  4u
#define SMART_USED             5u
#define SMART_WRITTEN          48u
#define SMART_POWER_ON_HOURS   128u
#define SMART_UNSAFE_SHUTDOWNS 144u
#define SMART_MEDIA_ERRORS     160u
#define SMART_UNIT_BYTES       512000u /* a data unit is a thousand blocks of 512 bytes */
#define KELVIN                 273

static uint16_t
get16(const uint8_t *at)
{
	le16 value;

	memcpy(value.bytes, at, sizeof(value.bytes));
	return le16_get(value);
}

static uint64_t
get64(const uint8_t *at)
{
	le64 value;

	memcpy(value.bytes, at, sizeof(value.bytes));
	return le64_get(value);
}

/* A counter of 16 bytes. */
static uint64_t
get128(const uint8_t *at)
{
	return get64(at + 8) != 0 ? UINT64_MAX : get64(at);
}

static void
get_text(const uint8_t *at, size_t bytes, char *out)
{
	while (bytes > 0 && (at[bytes - 1] == ' ' || at[bytes - 1] == 0))
		bytes--;
	size_t begin = 0;
	while (begin < bytes && at[begin] == ' ')
		begin++;
	for (size_t i = begin; i < bytes; i++)
		out[i - begin] = at[i] < ' ' || at[i] > '~' ? '?' : (char)at[i];
	out[bytes - begin] = 0;
}

void
nvme_page_controller_decode(const uint8_t *bytes, struct nvme_page_controller *controller)
{
	get_text(bytes + CTRL_SERIAL, sizeof(controller->serial) - 1, controller->serial);
	get_text(bytes + CTRL_MODEL, sizeof(controller->model) - 1, controller->model);
	get_text(bytes + CTRL_FIRMWARE, sizeof(controller->firmware) - 1, controller->firmware);
	controller->has_volatile_cache = (bytes[CTRL_VWC] & 1) != 0;
	controller->atomic_blocks = (uint32_t)get16(bytes + CTRL_AWUPF) + 1;
}

bool
nvme_page_namespace_decode(const uint8_t *bytes, struct nvme_page_namespace *name_space)
{
	const uint8_t in_use = bytes[NS_FORMAT_IN_USE];

	*name_space = (struct nvme_page_namespace){
		.blocks = get64(bytes + NS_BLOCKS),
		.format_count = min_u32((uint32_t)bytes[NS_FORMATS] + 1, NVME_PAGE_FORMATS_MAX),
	};
	/* The upper bits of the index mean something only where it needs them. */
	name_space->format_in_use =
	    (in_use & 0x0fu) | (name_space->format_count > 16 ? (in_use & 0x60u) >> 1 : 0);
	for (uint32_t i = 0; i < name_space->format_count; i++) {
		const uint8_t *at = bytes + NS_FORMAT_TABLE + (size_t)i * 4;
		if (at[2] < LBA_SHIFT_MIN || at[2] > LBA_SHIFT_MAX)
			continue;
		name_space->formats[i] = (struct nvme_page_format){
			.lba_bytes = 1u << at[2],
			.metadata_bytes = get16(at),
			.performance = at[3] & 3,
		};
	}
	if ((bytes[NS_FEATURES] & NS_HAS_ATOMICS) != 0) {
		const uint16_t boundary = get16(bytes + NS_NABSPF);
		name_space->atomic_blocks = (uint32_t)get16(bytes + NS_NAWUPF) + 1;
		name_space->atomic_boundary_blocks = boundary == 0 ? 0 : (uint32_t)boundary + 1;
	}
	return name_space->blocks != 0 && name_space->format_in_use < name_space->format_count &&
	       name_space->formats[name_space->format_in_use].lba_bytes != 0;
}

void
nvme_page_smart_decode(const uint8_t *bytes, struct nvme_page_smart *smart)
{
	const uint64_t units = get128(bytes + SMART_WRITTEN);

	*smart = (struct nvme_page_smart){
		.critical_warning = bytes[SMART_WARNING],
		.temperature_c = (int32_t)get16(bytes + SMART_TEMPERATURE) - KELVIN,
		.wear_pct = bytes[SMART_USED],
		.spare_pct = bytes[SMART_SPARE],
		.spare_threshold_pct = bytes[SMART_SPARE_THRESHOLD],
		.media_errors = get128(bytes + SMART_MEDIA_ERRORS),
		.unsafe_shutdowns = get128(bytes + SMART_UNSAFE_SHUTDOWNS),
		.power_on_hours = get128(bytes + SMART_POWER_ON_HOURS),
		.written_bytes =
		    units > UINT64_MAX / SMART_UNIT_BYTES ? UINT64_MAX : units * SMART_UNIT_BYTES,
	};
}

uint64_t
nvme_page_atomic_bytes(const struct nvme_page_controller *controller,
		       const struct nvme_page_namespace *name_space)
{
	const uint64_t lba = name_space->formats[name_space->format_in_use].lba_bytes;
	uint64_t blocks =
	    name_space->atomic_blocks != 0 ? name_space->atomic_blocks : controller->atomic_blocks;

	if (name_space->atomic_boundary_blocks != 0)
		blocks = min_u64(blocks, name_space->atomic_boundary_blocks);
	return blocks * lba;
}
