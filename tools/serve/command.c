/* switchboard serve: a handler at an address with a strategy. What it promises: switchboard-serve(1). */
#include "../commands.h"

#include "options.h"
#include "service.h"
#include "serving.h"
#include "supervise.h"

int serve_main(int argc, char **argv)
{
    struct serve_arguments arguments;
    serve_arguments_parse(argc, argv, &arguments);
    if (service_find_sockets(&arguments) < 0)
        return 1;
    /* Who serves one request has no time to change. */
    bool alone = arguments.once || arguments.unsupervised || arguments.inetd;
    return alone ? serving_run(&arguments, NULL) : supervise(&arguments);
}
