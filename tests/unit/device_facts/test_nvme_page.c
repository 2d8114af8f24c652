/* SPDX-License-Identifier: Apache-2.0 */
/* Pages as a controller would give them out, made with libnvme's structures. */
#include "tests/support/check.h"

#include <string.h>

#include <nvme/types.h>

#include "hw/device_facts/nvme_page.h"

static void
test_controller(void **state)
{
	union {
		struct nvme_id_ctrl ctrl;
		uint8_t bytes[NVME_PAGE_IDENTIFY_BYTES];
	} page = { 0 };
	struct nvme_page_controller found;

	(void)state;
	assert_int_equal(sizeof(page.ctrl), NVME_PAGE_IDENTIFY_BYTES);
	memcpy(page.ctrl.sn, "  S6GNNE0T900412    ", 20);
	memset(page.ctrl.mn, ' ', sizeof(page.ctrl.mn));
	memcpy(page.ctrl.mn, "Model\tX 1.92TB", 14);
	memcpy(page.ctrl.fr, "GDC5602Q", 8);
	page.ctrl.vwc = 1;
	page.ctrl.awupf = 7;
	page.ctrl.awun = 0xffff;
	nvme_page_controller_decode(page.bytes, &found);
	assert_string_equal(found.serial, "S6GNNE0T900412");
	assert_string_equal(found.model, "Model?X 1.92TB");
	assert_string_equal(found.firmware, "GDC5602Q");
	assert_true(found.has_volatile_cache);
	assert_int_equal(found.atomic_blocks, 8);

	/* Bits 2:1 say how a flush names namespaces, not whether there is a cache. */
	page.ctrl.vwc = 6;
	page.ctrl.awupf = 0xffff;
	memset(page.ctrl.sn, 0xff, sizeof(page.ctrl.sn));
	memset(page.ctrl.mn, 0, sizeof(page.ctrl.mn));
	nvme_page_controller_decode(page.bytes, &found);
	assert_false(found.has_volatile_cache);
	assert_int_equal(found.atomic_blocks, 65536);
	assert_int_equal(strlen(found.serial), 20);
	assert_string_equal(found.model, "");
}

static void
test_namespace(void **state)
{
	union {
		struct nvme_id_ns ns;
		uint8_t bytes[NVME_PAGE_IDENTIFY_BYTES];
	} page = { 0 };
	const struct nvme_page_controller controller = { .atomic_blocks = 16 };
	struct nvme_page_namespace found;

	(void)state;
	assert_int_equal(sizeof(page.ns), NVME_PAGE_IDENTIFY_BYTES);
	page.ns.nsze = 3750748848;
	page.ns.nlbaf = 1;
	page.ns.flbas = 0x61; /* the upper bits mean nothing with two formats */
	page.ns.lbaf[0] = (struct nvme_lbaf){ .ms = 8, .ds = 9, .rp = 2 };
	page.ns.lbaf[1] = (struct nvme_lbaf){ .ms = 0, .ds = 12, .rp = 0 };
	assert_true(nvme_page_namespace_decode(page.bytes, &found));
	assert_true(found.blocks == 3750748848);
	assert_int_equal(found.format_count, 2);
	assert_int_equal(found.format_in_use, 1);
	assert_int_equal(found.formats[0].lba_bytes, 512);
	assert_int_equal(found.formats[0].metadata_bytes, 8);
	assert_int_equal(found.formats[0].performance, 2);
	assert_int_equal(found.formats[1].lba_bytes, 4096);
	/* The controller's, for the namespace has none of its own. */
	assert_int_equal(nvme_page_atomic_bytes(&controller, &found), 16 * 4096);

	page.ns.nawupf = 3;
	page.ns.nabspf = 1;
	assert_true(nvme_page_namespace_decode(page.bytes, &found));
	assert_int_equal(nvme_page_atomic_bytes(&controller, &found), 16 * 4096);
	page.ns.nsfeat = 0x02;
	assert_true(nvme_page_namespace_decode(page.bytes, &found));
	assert_int_equal(found.atomic_blocks, 4);
	assert_int_equal(nvme_page_atomic_bytes(&controller, &found), 2 * 4096); /* boundary */
	page.ns.nabspf = 0;
	assert_true(nvme_page_namespace_decode(page.bytes, &found));
	assert_int_equal(nvme_page_atomic_bytes(&controller, &found), 4 * 4096);
}

static void
test_namespace_that_is_none(void **state)
{
	union {
		struct nvme_id_ns ns;
		uint8_t bytes[NVME_PAGE_IDENTIFY_BYTES];
	} page = { 0 };
	struct nvme_page_namespace found;

	(void)state;
	assert_false(nvme_page_namespace_decode(page.bytes, &found));
	page.ns.nsze = 1000;
	assert_false(nvme_page_namespace_decode(page.bytes, &found)); /* no such format */
	page.ns.lbaf[0].ds = 9;
	assert_true(nvme_page_namespace_decode(page.bytes, &found));
	page.ns.flbas = 1; /* of one */
	assert_false(nvme_page_namespace_decode(page.bytes, &found));
	/* 20 formats: the index takes its upper bits. */
	page.ns.nlbaf = 19;
	page.ns.flbas = 0x20 | 2;
	page.ns.lbaf[18].ds = 12;
	assert_true(nvme_page_namespace_decode(page.bytes, &found));
	assert_int_equal(found.format_in_use, 18);
	page.ns.lbaf[18].ds = 63; /* no size that can be */
	assert_false(nvme_page_namespace_decode(page.bytes, &found));
	/* All bits set: nothing is read or written beyond the page's formats. */
	memset(page.bytes, 0xff, sizeof(page.bytes));
	assert_false(nvme_page_namespace_decode(page.bytes, &found));
	assert_int_equal(found.format_count, NVME_PAGE_FORMATS_MAX);
}

static void
test_smart(void **state)
{
	union {
		struct nvme_smart_log log;
		uint8_t bytes[NVME_PAGE_SMART_BYTES];
	} page = { 0 };
	struct nvme_page_smart found;

	(void)state;
	assert_int_equal(sizeof(page.log), NVME_PAGE_SMART_BYTES);
	page.log.critical_warning = 0x04;
	page.log.temperature[0] = 0x3b; /* 315 K */
	page.log.temperature[1] = 0x01;
	page.log.avail_spare = 98;
	page.log.spare_thresh = 10;
	page.log.percent_used = 71;
	page.log.data_units_written[0] = 3;
	page.log.media_errors[1] = 1;
	page.log.unsafe_shutdowns[0] = 12;
	page.log.power_on_hours[0] = 200;
	nvme_page_smart_decode(page.bytes, &found);
	assert_int_equal(found.critical_warning, 4);
	assert_int_equal(found.temperature_c, 42);
	assert_int_equal(found.spare_pct, 98);
	assert_int_equal(found.spare_threshold_pct, 10);
	assert_int_equal(found.wear_pct, 71);
	assert_int_equal(found.written_bytes, 3 * 512000);
	assert_int_equal(found.media_errors, 256);
	assert_int_equal(found.unsafe_shutdowns, 12);
	assert_int_equal(found.power_on_hours, 200);
	/* Counters beyond 64 bits stay the largest there is. */
	page.log.media_errors[8] = 1;
	memset(page.log.data_units_written, 0xff, 8);
	page.log.percent_used = 255;
	nvme_page_smart_decode(page.bytes, &found);
	assert_true(found.media_errors == UINT64_MAX);
	assert_true(found.written_bytes == UINT64_MAX);
	assert_int_equal(found.wear_pct, 255);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_controller),
		cmocka_unit_test(test_namespace),
		cmocka_unit_test(test_namespace_that_is_none),
		cmocka_unit_test(test_smart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
