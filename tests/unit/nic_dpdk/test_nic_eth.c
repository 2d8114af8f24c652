/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a port is: the data thread gives it up where it asks, and nowhere else, so that nothing
 * which found it ours goes on with it afterwards. */
#include "hw/nic_dpdk/nic_eth.h"
#include "tests/support/check.h"

#define NO_PORT 77u /* which DPDK does not have */

static struct nic nic;

static struct nic_eth *
eth_begin(void)
{
	nic = (struct nic){ .eth_count = 1 };
	nic.eths[0].port_id = NO_PORT;
	atomic_store(&nic.eths[0].is_link_up, true);
	atomic_store(&nic.eths[0].state, NIC_ETH_UP);
	return &nic.eths[0];
}

static void
came_up_quietly(struct nic *self, uint32_t eth_index)
{
	assert_ptr_equal(self, &nic);
	assert_int_equal(eth_index, 0);
}

/* It sends, and the port is asked for meanwhile. */
static void
came_up_and_sent(struct nic *self, uint32_t eth_index)
{
	struct nic_eth *eth = &self->eths[eth_index];

	assert_true(nic_eth_is_ours(self, eth));
	atomic_store(&eth->state, NIC_ETH_DRAINING);
	assert_false(nic_eth_is_ours(self, eth));
}

static void
test_refused_frames(void **state)
{
	struct nic_eth *eth = eth_begin();

	(void)state;
	nic.came_up = came_up_quietly;
	assert_true(nic_eth_is_ours(&nic, eth));
	nic_eth_tx_refused(&nic, eth, 2);
	assert_int_equal(nic.stats.drops.tx_ring_full, 2);
	atomic_store(&eth->state, NIC_ETH_DRAINING);
	nic_eth_tx_refused(&nic, eth, 3);
	assert_int_equal(eth->counters.drops.tx_link_down, 3);
	assert_int_equal(atomic_load(&eth->state), NIC_ETH_DRAINING);
	assert_false(nic_eth_is_ours(&nic, eth));
	assert_int_equal(atomic_load(&eth->state), NIC_ETH_CONTROL);
}

static void
test_given_up_while_coming_up(void **state)
{
	struct nic_eth *eth = eth_begin();

	(void)state;
	nic.came_up = came_up_and_sent;
	assert_false(nic_eth_is_ours(&nic, eth));
	assert_int_equal(atomic_load(&eth->state), NIC_ETH_CONTROL);
	nic.came_up = came_up_quietly;
	atomic_store(&eth->state, NIC_ETH_UP);
	assert_true(nic_eth_is_ours(&nic, eth));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_frames),
		cmocka_unit_test(test_given_up_while_coming_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
