#include <switchboard/switchboard.h>

SB_HANDLER(.name = "nohandle", .summary = "has nothing to do");
