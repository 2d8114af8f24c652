/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an NVMe controller and namespace say of themselves, decoded from the pages that they give
 * out: Identify Controller, Identify Namespace, and the SMART log (NVM Express base and NVM command
 * set specifications). Pure: bytes in, facts out. Bytes of a device are never trusted: what is out
 * of range becomes "not known", and text holds nothing but printable ASCII.
 *
 * Thread: any.
 */
#ifndef TERN_HW_DEVICE_FACTS_NVME_PAGE_H
#define TERN_HW_DEVICE_FACTS_NVME_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#define NVME_PAGE_IDENTIFY_BYTES 4096u
#define NVME_PAGE_SMART_BYTES    512u
#define NVME_PAGE_FORMATS_MAX    64u

struct nvme_page_controller {
	char serial[21], model[41], firmware[9]; /* without blanks at their ends */
	bool has_volatile_cache;                 /* VWC bit 0 */
	uint32_t atomic_blocks;                  /* AWUPF + 1: of writes at a power failure */
};

struct nvme_page_format {
	uint32_t lba_bytes; /* 0: not offered */
	uint32_t metadata_bytes;
	uint8_t performance; /* 0 best, 3 degraded */
};

struct nvme_page_namespace {
	uint64_t blocks; /* NSZE */
	uint32_t format_count, format_in_use;
	struct nvme_page_format formats[NVME_PAGE_FORMATS_MAX];
	/* NAWUPF + 1, and the boundary that an atomic write may not cross; 0: the controller's
	 * holds, no boundary. */
	uint32_t atomic_blocks, atomic_boundary_blocks;
};

struct nvme_page_smart {
	uint8_t critical_warning; /* bits of the specification; 0: none */
	int32_t temperature_c;
	uint32_t wear_pct; /* "percentage used"; 255 stands for that and more */
	uint32_t spare_pct, spare_threshold_pct;
	uint64_t media_errors, unsafe_shutdowns, power_on_hours; /* UINT64_MAX: that and more */
	uint64_t written_bytes;                                  /* by the host */
};

/* @bytes: NVME_PAGE_IDENTIFY_BYTES. */
void nvme_page_controller_decode(const uint8_t *bytes, struct nvme_page_controller *controller);
/* False: the page is of no namespace that is there (no block, or a format of no size in use). */
bool nvme_page_namespace_decode(const uint8_t *bytes, struct nvme_page_namespace *name_space);
/* @bytes: NVME_PAGE_SMART_BYTES. */
void nvme_page_smart_decode(const uint8_t *bytes, struct nvme_page_smart *smart);

/* Bytes of the largest write, aligned to its own size, that a power failure leaves whole. */
uint64_t nvme_page_atomic_bytes(const struct nvme_page_controller *controller,
				const struct nvme_page_namespace *name_space);

#endif
