#include <switchboard/switchboard.h>

static int handle(struct sb_request *request)
{
    return request == NULL;
}

const struct sb_handler sb_handler = { .abi_version = SB_ABI_VERSION - 1, .struct_size = sizeof(struct sb_handler),
                                       .name = "oldabi", .handle = handle };
