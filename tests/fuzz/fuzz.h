/* What a fuzz target shares with the program that runs it: libFuzzer, or replay.c. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer's entry point. Every input is a valid one; a broken promise ends in abort(). Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(), which a release build leaves out. */
#define REQUIRE(promise) ((promise) ? (void)0 : broken(#promise, __FILE__, __LINE__))

__attribute__((noreturn)) static inline void broken(const char *promise, const char *file, int line)
{
    fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, promise);
    abort();
}

#endif
