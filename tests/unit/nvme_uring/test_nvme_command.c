/* SPDX-License-Identifier: Apache-2.0 */
/* NVMe commands: what is built of a request, what a completion means, and what else goes into the
 * ring with them. Numbers are of the specification (NVM command set: read, write, status codes). */
#include "tests/support/check.h"

#include <errno.h>
#include <string.h>

#include "hw/nvme_uring/nvme_command.h"
#include "hw/nvme_uring/nvme_internal.h"

static uint8_t *const somewhere = (uint8_t *)(uintptr_t)0x7f0000001000;

static void
test_commands_are_built(void **state)
{
	const uint32_t page = DISK_PAGE_BYTES;
	const struct {
		struct nvme_target target;
		enum disk_request_kind kind;
		uint64_t offset;
		uint32_t length;
		bool is_forced;
		uint8_t opcode;
		uint32_t cdw10, cdw11, cdw12;
	} cases[] = {
		{ { 1, 512 }, DISK_WRITE, 0, page, true, 1, 0, 0, 0x40000007 },
		{ { 1, 512 }, DISK_WRITE, 0, page, false, 1, 0, 0, 7 },
		{ { 1, 512 }, DISK_READ, page, 2 * page, false, 2, 8, 0, 15 },
		/* A read is never forced. */
		{ { 1, 512 }, DISK_READ, page, page, true, 2, 8, 0, 7 },
		{ { 7, 4096 }, DISK_WRITE, 3 * page, 512 * page, true, 1, 3, 0, 0x400001ff },
		{ { 7, 4096 }, DISK_READ, 3 * page, page, false, 2, 3, 0, 0 },
		/* Beyond 2 TiB. */
		{ { 2, 512 },
		  DISK_WRITE,
		  UINT64_C(0x123456789000),
		  page,
		  true,
		  1,
		  0x1a2b3c48,
		  0x9,
		  0x40000007 },
		/* The longest request, in the smallest blocks. */
		{ { 2, 512 }, DISK_WRITE, 0, 2u << 20, true, 1, 0, 0, 0x40000fff },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct disk_request request = { .kind = cases[i].kind,
						      .offset = cases[i].offset,
						      .bytes = somewhere,
						      .length = cases[i].length };
		struct nvme_uring_cmd command, rest;
		memset(&command, 0xee, sizeof(command));
		nvme_command_make(&command, &cases[i].target, &request, cases[i].is_forced);
		assert_int_equal(command.opcode, cases[i].opcode);
		assert_int_equal(command.nsid, cases[i].target.name_space);
		assert_true(command.addr == (uintptr_t)somewhere);
		assert_int_equal(command.data_len, cases[i].length);
		assert_int_equal(command.cdw10, cases[i].cdw10);
		assert_int_equal(command.cdw11, cases[i].cdw11);
		assert_int_equal(command.cdw12, cases[i].cdw12);
		assert_int_equal(command.timeout_ms, 30000);
		assert_int_equal(nvme_command_is_forced(&command),
				 cases[i].is_forced && cases[i].kind == DISK_WRITE);
		/* Nothing else is asked for. */
		memset(&rest, 0, sizeof(rest));
		rest.opcode = command.opcode;
		rest.nsid = command.nsid;
		rest.addr = command.addr;
		rest.data_len = command.data_len;
		rest.cdw10 = command.cdw10;
		rest.cdw11 = command.cdw11;
		rest.cdw12 = command.cdw12;
		rest.timeout_ms = command.timeout_ms;
		assert_memory_equal(&command, &rest, sizeof(rest));
	}
}

static void
test_what_is_no_command_is_refused(void **state)
{
	const struct nvme_target good = { 1, 512 }, odd = { 1, 520 }, none = { 1, 0 };
	struct disk_request request = { .kind = DISK_WRITE, .length = DISK_PAGE_BYTES };
	struct nvme_uring_cmd command;

	(void)state;
	expect_assert_failure(nvme_command_make(&command, &odd, &request, true));
	expect_assert_failure(nvme_command_make(&command, &none, &request, true));
	request.offset = 100;
	expect_assert_failure(nvme_command_make(&command, &good, &request, true));
	request.offset = 0;
	request.length = 0;
	expect_assert_failure(nvme_command_make(&command, &good, &request, true));
	request.length = 0x10001u * 512;
	expect_assert_failure(nvme_command_make(&command, &good, &request, true));
	request.length -= 512; /* as many as can be told */
	nvme_command_make(&command, &good, &request, false);
	assert_int_equal(command.cdw12, 0xffff);
}

static void
test_completions_are_judged(void **state)
{
	const struct {
		int32_t result, means;
	} cases[] = {
		{ 0, 8192 },           { -EACCES, -EACCES },
		{ -EINTR, -ENODEV }, /* cancelled in a reset */
		{ 0x001, -EINVAL },    { 0x002, -EINVAL },
		{ 0x4002, -EINVAL }, /* and not worth another try */
		{ 0x004, -EIO },     /* data transfer */
		{ 0x006, -EIO },     /* internal */
		{ 0x007, -ETIMEDOUT }, { 0x4007, -ETIMEDOUT },
		{ 0x008, -ENODEV },    { 0x00b, -ENODEV },
		{ 0x020, -EROFS },     { 0x4080, -ENOSPC },
		{ 0x081, -ENOSPC },    { 0x082, -EIO }, /* namespace not ready */
		{ 0x280, -EIO },                        /* write fault */
		{ 0x281, -EIO },                        /* unrecovered read error */
		{ 0x6281, -EIO },      { 0x282, -EIO },
		{ 0x370, -ENODEV },                     /* the path */
		{ 0x4371, -ENODEV },   { 0x7ff, -EIO }, /* of the vendor */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(nvme_command_result(cases[i].result, 8192), cases[i].means);
	/* No status is a success, whatever else it says. */
	for (int32_t status = 1; status <= 0x7fff; status++)
		assert_true(nvme_command_result(status, 8192) < 0);
}

/* What the ring is told, and what is made of it by those who ask whether a write is forced. */
static void
test_the_ring_is_told(void **state)
{
	static const struct {
		enum nvme_durability durability;
		bool is_write_through, is_absent, is_fua, is_forced;
	} cases[] = {
		{ NVME_DURABILITY_AUTO, false, false, true, true },
		{ NVME_DURABILITY_AUTO, true, false, false, true },
		{ NVME_DURABILITY_DSYNC, false, false, true, true },
		{ NVME_DURABILITY_DSYNC, true, false, true, true },
		{ NVME_DURABILITY_NONE, false, false, false, false },
		{ NVME_DURABILITY_NONE, true, false, false, true },
		/* It will fail, and nobody may keep it. */
		{ NVME_DURABILITY_NONE, false, true, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static struct nvme nvme;
		const struct disk_request request = { .kind = DISK_WRITE,
						      .device = 1,
						      .offset = DISK_PAGE_BYTES,
						      .bytes = somewhere,
						      .length = DISK_PAGE_BYTES };
		union nvme_sqe sqe;
		struct nvme_uring_cmd command;
		nvme = (struct nvme){ .is_passthrough = true, .is_polled = true };
		nvme.config.device_count = 2;
		nvme.config.durability = cases[i].durability;
		nvme.devices[1] = (struct nvme_device){
			.fd = 20,
			.command_fd = cases[i].is_absent ? -1 : 21,
			.is_absent = cases[i].is_absent,
			.is_block = true,
			.is_write_through = cases[i].is_write_through,
			.target = { cases[i].is_absent ? 0 : 3, cases[i].is_absent ? 0 : 512 },
		};
		assert_int_equal(nvme_write_is_forced(&nvme, &request), cases[i].is_forced);
		if (cases[i].is_absent)
			continue;
		memset(&sqe, 0xee, sizeof(sqe));
		nvme_sqe_fill(&nvme, &sqe.sqe, &request);
		assert_int_equal(sqe.sqe.opcode, IORING_OP_URING_CMD);
		assert_int_equal(sqe.sqe.cmd_op, NVME_URING_CMD_IO);
		assert_int_equal(sqe.sqe.fd, 21);
		memcpy(&command, sqe.sqe.cmd, sizeof(command));
		assert_int_equal(command.nsid, 3);
		assert_int_equal(command.cdw10, 8);
		assert_int_equal(nvme_command_is_forced(&command), cases[i].is_fua);
		/* The rest of the two places is clear. */
		for (size_t at = offsetof(struct io_uring_sqe, cmd) + sizeof(command);
		     at < sizeof(sqe); at++)
			assert_int_equal(sqe.bytes[at], 0);
		assert_int_equal(sqe.sqe.flags & IOSQE_FIXED_FILE, 0);
		const struct io_uring_cqe bad = { .res = 0x281 }, good = { .res = 0 };
		assert_int_equal(nvme_cqe_result(&nvme, &bad, 4096), -EIO);
		assert_int_equal(nvme_cqe_result(&nvme, &good, 4096), 4096);
		nvme.is_passthrough = false;
		nvme_sqe_fill(&nvme, &sqe.sqe, &request);
		assert_int_equal(sqe.sqe.fd, 20); /* which has the lock */
		assert_int_equal(sqe.sqe.flags & IOSQE_FIXED_FILE, 0);
		assert_int_equal(nvme_cqe_result(&nvme, &bad, 4096), 0x281); /* bytes */
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands_are_built),
		cmocka_unit_test(test_what_is_no_command_is_refused),
		cmocka_unit_test(test_completions_are_judged),
		cmocka_unit_test(test_the_ring_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
