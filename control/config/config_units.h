/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and times as people write them: "2GiB", "20us", "0.25ms". libconfig's own integers wrap
 * silently beyond 32 bits, so these are strings and parsed here. Pure. */
#ifndef TERN_CONFIG_CONFIG_UNITS_H
#define TERN_CONFIG_CONFIG_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* B, KiB, MiB, GiB, TiB. A fraction is fine when the result is whole. False: not a size. */
bool config_parse_bytes(const char *text, uint64_t *bytes);
/* ns, us, ms, s. False: not a time. */
bool config_parse_ns(const char *text, uint64_t *ns);

/* "4+2": two numbers of at most two digits. False: not that. */
bool config_parse_geometry(const char *text, uint32_t *k, uint32_t *m);

#define CONFIG_UNITS_TEXT_MAX 32u
/* The shortest exact form: the largest unit that divides the value. */
void config_format_bytes(uint64_t bytes, char out[CONFIG_UNITS_TEXT_MAX]);
void config_format_ns(uint64_t ns, char out[CONFIG_UNITS_TEXT_MAX]);

/* Edits (insert, delete, replace, swap of neighbours) that turn @a into @b, at most 255. */
uint32_t config_distance(const char *a, const char *b);

#endif
