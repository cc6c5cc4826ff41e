#include "decode.h"

#include <capstone/capstone.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum { TABLE_SIZE = 1 << 17, LENGTH_MAX = 15, FXSAVE_SIZE = 512, XSAVE_SIZE = 1024 };

static csh capstone;
static cs_insn *scratch;
static struct instruction *table;
static unsigned n_known;

int decoder_open(void)
{
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &capstone) != CS_ERR_OK)
        return -ENOTSUP;
    cs_option(capstone, CS_OPT_DETAIL, CS_OPT_ON);
    scratch = cs_malloc(capstone);
    table = calloc(TABLE_SIZE, sizeof *table);
    return scratch && table ? 0 : -ENOMEM;
}

void decoder_close(void)
{
    if (scratch)
        cs_free(scratch, 1);
    free(table);
    cs_close(&capstone);
}

void decoder_forget(void)
{
    memset(table, 0, TABLE_SIZE * sizeof *table);
    n_known = 0;
}

/* --- operands ----------------------------------------------------------------------------------------------------- */

#define PLACE(name) ((int16_t)offsetof(struct user_regs_struct, name))

static const struct {
    x86_reg wide, narrow;
    int16_t place;
} places[] = {
    { X86_REG_RAX, X86_REG_EAX, PLACE(rax) },  { X86_REG_RBX, X86_REG_EBX, PLACE(rbx) },
    { X86_REG_RCX, X86_REG_ECX, PLACE(rcx) },  { X86_REG_RDX, X86_REG_EDX, PLACE(rdx) },
    { X86_REG_RSI, X86_REG_ESI, PLACE(rsi) },  { X86_REG_RDI, X86_REG_EDI, PLACE(rdi) },
    { X86_REG_RBP, X86_REG_EBP, PLACE(rbp) },  { X86_REG_RSP, X86_REG_ESP, PLACE(rsp) },
    { X86_REG_R8, X86_REG_R8D, PLACE(r8) },    { X86_REG_R9, X86_REG_R9D, PLACE(r9) },
    { X86_REG_R10, X86_REG_R10D, PLACE(r10) }, { X86_REG_R11, X86_REG_R11D, PLACE(r11) },
    { X86_REG_R12, X86_REG_R12D, PLACE(r12) }, { X86_REG_R13, X86_REG_R13D, PLACE(r13) },
    { X86_REG_R14, X86_REG_R14D, PLACE(r14) }, { X86_REG_R15, X86_REG_R15D, PLACE(r15) },
};

/* False: a vector of addresses, or nothing that a program here would use. */
static bool find_place(x86_reg reg, int16_t *ret_place)
{
    *ret_place = -1;
    if (reg == X86_REG_INVALID || reg == X86_REG_RIZ || reg == X86_REG_EIZ)
        return true;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (reg == places[i].wide || reg == places[i].narrow)
            *ret_place = places[i].place;
    return *ret_place >= 0;
}

/* Whose first operand, when that is memory, is not where the result goes. Capstone has been seen to be silent about the
 * access of an operand, so that what is not in this list counts as written. */
static bool only_reads(unsigned id, bool alone)
{
    static const x86_insn readers[] = {
        X86_INS_CMP, X86_INS_TEST, X86_INS_BT, X86_INS_CALL, X86_INS_JMP, X86_INS_PUSH, X86_INS_NOP, X86_INS_CMPSB,
        X86_INS_CMPSW, X86_INS_CMPSD, X86_INS_CMPSQ, X86_INS_PREFETCH, X86_INS_PREFETCHW, X86_INS_PREFETCHNTA,
        X86_INS_PREFETCHT0, X86_INS_PREFETCHT1, X86_INS_PREFETCHT2, X86_INS_MUL, X86_INS_DIV, X86_INS_IDIV,
        X86_INS_LDMXCSR, X86_INS_VLDMXCSR, X86_INS_FXRSTOR, X86_INS_FXRSTOR64, X86_INS_XRSTOR, X86_INS_XRSTOR64,
        X86_INS_FLD, X86_INS_FILD, X86_INS_FLDCW, X86_INS_FLDENV, X86_INS_FRSTOR, X86_INS_FADD, X86_INS_FMUL,
        X86_INS_FSUB, X86_INS_FSUBR, X86_INS_FDIV, X86_INS_FDIVR, X86_INS_FCOM, X86_INS_FCOMP, X86_INS_FIADD,
        X86_INS_FIMUL, X86_INS_CLFLUSH, X86_INS_CLFLUSHOPT, X86_INS_CLWB,
    };
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (id == readers[i])
            return true;
    return id == X86_INS_IMUL && alone;
}

static bool writes(const cs_insn *insn, int i)
{
    const cs_x86 *x86 = &insn->detail->x86;
    if (insn->id == X86_INS_XCHG || insn->id == X86_INS_XADD)
        return true;
    if (only_reads(insn->id, x86->op_count == 1))
        return false;
    return i == 0 || (x86->operands[i].access & CS_AC_WRITE);
}

static unsigned size_of(const cs_insn *insn, const cs_x86_op *operand)
{
    switch (insn->id) {
    case X86_INS_FXSAVE:
    case X86_INS_FXSAVE64:
        return FXSAVE_SIZE;
    case X86_INS_XSAVE:
    case X86_INS_XSAVE64:
    case X86_INS_XSAVEC:
    case X86_INS_XSAVEC64:
    case X86_INS_XSAVEOPT:
    case X86_INS_XSAVEOPT64:
        return XSAVE_SIZE;
    default:
        return operand->size ? operand->size : 1;
    }
}

static bool add_memory(struct instruction *instruction, const cs_insn *insn, int i)
{
    const cs_x86_op *from = &insn->detail->x86.operands[i];
    x86_reg segment = from->mem.segment, base = from->mem.base;
    if (instruction->n_operands == OPERANDS_MAX)
        return false;
    struct operand *operand = &instruction->operands[instruction->n_operands++];
    *operand = (struct operand){ .written = writes(insn, i), .base = -1, .index = -1, .scale = from->mem.scale,
                                 .narrow = insn->detail->x86.addr_size == 4, .size = size_of(insn, from),
                                 .displacement = from->mem.disp };
    operand->segment = segment == X86_REG_FS ? PLACE(fs_base) : segment == X86_REG_GS ? PLACE(gs_base) : -1;
    if (base == X86_REG_RIP)
        operand->displacement += insn->address + insn->size;
    else if (!find_place(base, &operand->base))
        return false;
    return find_place(from->mem.index, &operand->index);
}

/* What capstone does not list: the word that goes on the stack. */
static void add_push(struct instruction *instruction, unsigned id)
{
    static const struct operand top = { .written = true, .base = PLACE(rsp), .index = -1, .segment = -1, .size = 8,
                                        .displacement = -8 };
    bool pushes = id == X86_INS_CALL || id == X86_INS_PUSH || id == X86_INS_PUSHFQ;
    if (pushes && instruction->n_operands < OPERANDS_MAX)
        instruction->operands[instruction->n_operands++] = top;
}

static bool has_written(const struct instruction *instruction)
{
    for (int i = 0; i < instruction->n_operands; i++)
        if (instruction->operands[i].written)
            return true;
    return false;
}

static bool add_operands(struct instruction *instruction, const cs_insn *insn)
{
    const cs_x86 *x86 = &insn->detail->x86;
    bool known = true;
    for (int i = 0; i < x86->op_count; i++)
        if (x86->operands[i].type == X86_OP_MEM && insn->id != X86_INS_LEA)
            known &= add_memory(instruction, insn, i);
    add_push(instruction, insn->id);
    return known || !has_written(instruction);
}

/* --- instructions ------------------------------------------------------------------------------------------------- */

static void describe(struct instruction *instruction, const cs_insn *insn)
{
    const cs_x86 *x86 = &insn->detail->x86;
    instruction->known = add_operands(instruction, insn);
    bool exchanges = insn->id == X86_INS_XCHG && instruction->n_operands > 0;
    instruction->locked = x86->prefix[0] == X86_PREFIX_LOCK || exchanges;
    instruction->repeated = x86->prefix[0] == X86_PREFIX_REP || x86->prefix[0] == X86_PREFIX_REPNE;
    instruction->calls_kernel = insn->id == X86_INS_SYSCALL;
    snprintf(instruction->text, sizeof instruction->text, "%.20s %.34s", insn->mnemonic, insn->op_str);
}

static void fill(struct instruction *instruction, pid_t pid, uint64_t address)
{
    uint8_t bytes[LENGTH_MAX + 1] = { 0 };
    struct iovec local = { bytes, LENGTH_MAX }, remote = { (void *)(uintptr_t)address, LENGTH_MAX };
    ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
    if (n < LENGTH_MAX) {   /* the end of a mapping */
        remote.iov_len = 4096 - address % 4096;
        n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
    }
    const uint8_t *code = bytes;
    size_t size = n > 0 ? n : 0;
    uint64_t at = address;
    *instruction = (struct instruction){ .address = address };
    if (size > 0 && cs_disasm_iter(capstone, &code, &size, &at, scratch))
        describe(instruction, scratch);
    else
        snprintf(instruction->text, sizeof instruction->text, "bytes %02x %02x %02x %02x %02x %02x %02x %02x", bytes[0],
                 bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]);
}

struct instruction *decode(pid_t pid, uint64_t address, bool *ret_fresh)
{
    unsigned i = (address * 0x9e3779b97f4a7c15u) >> 47;
    while (table[i].address != 0 && table[i].address != address)
        i = (i + 1) % TABLE_SIZE;
    *ret_fresh = table[i].address == 0;
    if (!*ret_fresh)
        return &table[i];
    if (++n_known > TABLE_SIZE / 2) {
        decoder_forget();
        return decode(pid, address, ret_fresh);
    }
    fill(&table[i], pid, address);
    return &table[i];
}

static uint64_t value(const struct user_regs_struct *registers, int16_t place)
{
    uint64_t result = 0;
    if (place >= 0)
        memcpy(&result, (const char *)registers + place, sizeof result);
    return result;
}

uint64_t operand_address(const struct operand *operand, const struct user_regs_struct *registers)
{
    uint64_t address = value(registers, operand->base) + value(registers, operand->index) * operand->scale +
                       (uint64_t)operand->displacement;
    if (operand->narrow)
        address = (uint32_t)address;
    return address + value(registers, operand->segment);
}
