/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "hw/platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES_MAX 4000u

enum tern_err
platform_file_lock(const char *path, int *fd)
{
	const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (file < 0)
		return TERN_ERR_IO;
	if (flock(file, LOCK_EX | LOCK_NB) != 0) {
		const enum tern_err err = errno == EWOULDBLOCK ? TERN_ERR_BUSY : TERN_ERR_IO;
		close(file);
		return err;
	}
	*fd = file;
	return TERN_OK;
}

enum tern_err
platform_directory_sync(const char *path)
{
	char directory[PATH_BYTES_MAX + 1];
	const char *slash = strrchr(path, '/');
	size_t length = slash == NULL ? 0 : (size_t)(slash - path);

	if (length >= PATH_BYTES_MAX)
		return TERN_ERR_TOO_LARGE;
	memcpy(directory, path, length);
	if (length == 0)
		directory[length++] = slash == NULL ? '.' : '/';
	directory[length] = '\0';
	const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return TERN_ERR_IO;
	const enum tern_err err = fsync(fd) == 0 ? TERN_OK : TERN_ERR_IO;
	close(fd);
	return err;
}

enum tern_err
platform_directory_make(const char *path)
{
	char part[PATH_BYTES_MAX + 1];
	const size_t bytes = strlen(path);
	struct stat status;

	if (bytes > PATH_BYTES_MAX)
		return TERN_ERR_TOO_LARGE;
	for (size_t i = 1; i <= bytes; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return TERN_ERR_IO;
	}
	if (stat(path, &status) != 0)
		return TERN_ERR_IO;
	errno = ENOTDIR;
	return S_ISDIR(status.st_mode) ? TERN_OK : TERN_ERR_IO;
}

bool
platform_take_socket(const char *text, int kind, int *fd)
{
	char *end;
	int is_listener = 0, its_kind = 0;
	socklen_t bytes = sizeof(int);

	errno = 0;
	const long number = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || end == text || number < 3 || number > 1023)
		return false;
	const int socket = (int)number;
	if (getsockopt(socket, SOL_SOCKET, SO_TYPE, &its_kind, &bytes) != 0 || its_kind != kind ||
	    getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &is_listener, &bytes) != 0 ||
	    (kind == SOCK_STREAM && !is_listener) || fcntl(socket, F_SETFL, O_NONBLOCK) != 0 ||
	    fcntl(socket, F_SETFD, FD_CLOEXEC) != 0)
		return false;
	*fd = socket;
	return true;
}
