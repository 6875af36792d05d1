/* SPDX-License-Identifier: MIT */
#ifndef SWM_TESTS_DAMAGE_H
#define SWM_TESTS_DAMAGE_H

/* Fills the page in the middle of a SQLite file, which nobody has open and whose WAL is
 * empty, with noise. Fails the test when it cannot. */
void damage(const char *path);

#endif
