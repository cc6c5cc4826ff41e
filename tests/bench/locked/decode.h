/* What an instruction writes, decoded once for each address of a program. */
#ifndef LOCKED_DECODE_H
#define LOCKED_DECODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

enum { OPERANDS_MAX = 3 };

struct operand {
    bool written;           /* else only read */
    int16_t base, index;    /* offsets in struct user_regs_struct, or -1 */
    int16_t segment;        /* fs_base or gs_base there, or -1 */
    uint8_t scale;
    bool narrow;            /* an address of 32 bits */
    unsigned size;
    int64_t displacement;   /* an address relative to rip is absolute here */
};

struct instruction {
    uint64_t address;       /* 0: this place of the table is free */
    bool known;             /* false: it could not be decoded, or where it writes is not to be told */
    bool locked;            /* LOCK, or an exchange with memory */
    bool repeated;          /* one step is one turn of REP */
    bool calls_kernel;
    uint8_t n_operands;
    struct operand operands[OPERANDS_MAX];
    uint32_t object;        /* areas.h: of the code */
    uint64_t offset;        /* of the instruction in that file */
    char text[56];
};

int decoder_open(void);
void decoder_close(void);
/* To be called when code has been mapped: what is known by address may be something else now. */
void decoder_forget(void);

/* Never NULL; valid until decoder_forget(). `*ret_fresh` says that object and offset are still to be filled in. */
struct instruction *decode(pid_t pid, uint64_t address, bool *ret_fresh);

uint64_t operand_address(const struct operand *operand, const struct user_regs_struct *registers);

#endif
