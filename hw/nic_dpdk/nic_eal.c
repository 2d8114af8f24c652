/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and stopping EAL: its arguments, its log, its directory, and the caller's CPU affinity.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "hw/nic_dpdk/nic_internal.h"

#define EAL_BASE_MIB 48u

__attribute__((format(printf, 2, 3))) static void
args_add(struct nic_eal_args *args, const char *format, ...)
{
	va_list list;

	if ((uint32_t)args->count >= NIC_EAL_ARGS_MAX)
		return;
	va_start(list, format);
	(void)vsnprintf(args->text[args->count], NIC_EAL_ARG_BYTES, format, list);
	va_end(list);
	args->list[args->count] = args->text[args->count];
	args->count++;
}

/* One line of DPDK's becomes one line of ours on stderr. */
static ssize_t
log_write(void *cookie, const char *text, size_t bytes)
{
	char line[512];
	size_t used = bytes;

	(void)cookie;
	while (used > 0 && (text[used - 1] == '\n' || text[used - 1] == '\0'))
		used--;
	if (used == 0)
		return (ssize_t)bytes;
	const int length = snprintf(line, sizeof(line), "dpdk text=\"%.*s\"\n",
				    (int)(used < 400 ? used : 400), text);
	if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
		return (ssize_t)bytes; /* nowhere left to say it */
	return (ssize_t)bytes;
}

static void
log_open(void)
{
	const cookie_io_functions_t functions = { .write = log_write };
	FILE *stream = fopencookie(NULL, "w", functions);

	if (stream == NULL)
		return;
	(void)setvbuf(stream, NULL, _IOLBF, 0);
	(void)rte_openlog_stream(stream);
}

void
nic_eal_args_build(struct nic_eal_args *args, const struct nic_config *config, uint32_t pool_mib)
{
	bool has_pci = false;

	args->count = 0;
	args_add(args, "tern");
	if (config->file_prefix[0] != '\0')
		args_add(args, "--file-prefix=%s", config->file_prefix);
	else
		args_add(args, "--file-prefix=tern-%u-%d", config->node_id, (int)getpid());
	args_add(args, "--lcores=0@%u", config->cpu);
	args_add(args, "--no-telemetry");
	args_add(args, "--log-level=warning");
	args_add(args, "--log-level=pmd.net.memif:critical"); /* one line for each failed connect */
	args_add(args, "-m");
	args_add(args, "%u", EAL_BASE_MIB + pool_mib);
	if (!config->uses_hugepages)
		args_add(args, "--no-huge");
	/* EAL probes every PCI device that it finds, unless it is told which ones. */
	for (uint32_t i = 0; i < config->port_count; i++)
		if (strncmp(config->ports[i].device, "net_", 4) != 0) {
			args_add(args, "-a");
			args_add(args, "%s", config->ports[i].device);
			has_pci = true;
		}
	if (!has_pci) {
		args_add(args, "--no-pci");
		args_add(args, "--iova-mode=va");
	}
}

static void
runtime_dir_set(const char *directory, const char *previous)
{
	if (directory != NULL)
		(void)setenv("RUNTIME_DIRECTORY", directory, 1);
	else if (previous != NULL)
		(void)setenv("RUNTIME_DIRECTORY", previous, 1);
	else
		(void)unsetenv("RUNTIME_DIRECTORY");
}

enum tern_err
nic_eal_start(const struct nic_config *config, uint32_t pool_mib, struct nic *nic, char *err,
	      size_t err_bytes)
{
	static_assert(NIC_EAL_ARG_BYTES >= NIC_DEVICE_BYTES, "every device fits");
	struct nic_eal_args args = { .count = 0 };
	cpu_set_t affinity;
	const char *outer = getenv("RUNTIME_DIRECTORY");
	char previous[256] = "";

	nic_eal_args_build(&args, config, pool_mib);
	log_open();
	if (outer != NULL)
		(void)snprintf(previous, sizeof(previous), "%s", outer);
	if (config->run_dir[0] != '\0')
		runtime_dir_set(config->run_dir, NULL);

	/* EAL pins the calling thread to the lcore; that is the data thread's place, not ours. */
	const int saved = pthread_getaffinity_np(pthread_self(), sizeof(affinity), &affinity);
	const int result = rte_eal_init(args.count, args.list);
	const int reason = rte_errno;
	if (saved == 0)
		(void)pthread_setaffinity_np(pthread_self(), sizeof(affinity), &affinity);
	if (config->run_dir[0] != '\0')
		runtime_dir_set(NULL, outer != NULL ? previous : NULL);

	if (result < 0) {
		(void)snprintf(err, err_bytes, "DPDK does not start: %s (cpu %u, %s)",
			       rte_strerror(reason), config->cpu,
			       config->uses_hugepages ? "with hugepages" : "without hugepages");
		return reason == EALREADY ? TERN_ERR_BUSY : TERN_ERR_UNSUPPORTED;
	}
	(void)snprintf(nic->runtime_dir, sizeof(nic->runtime_dir), "%s", rte_eal_get_runtime_dir());
	return TERN_OK;
}

void
nic_eal_stop(struct nic *nic)
{
	(void)rte_eal_cleanup();

	/* EAL leaves its directory behind. It is flat: a configuration, sockets, memory maps. */
	DIR *directory = opendir(nic->runtime_dir);
	if (directory == NULL)
		return;
	for (const struct dirent *entry = readdir(directory); entry != NULL;
	     entry = readdir(directory))
		if (entry->d_name[0] != '.')
			(void)unlinkat(dirfd(directory), entry->d_name, 0);
	(void)closedir(directory);
	(void)rmdir(nic->runtime_dir);
}
