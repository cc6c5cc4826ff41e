#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int complain(const char *path, int error)
{
    fprintf(stderr, "switchboard compare: cannot write '%s': %s\n", path, strerror(-error));
    return error;
}

int output_open(struct output *output, const char *path)
{
    bool created = true;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST) {
        created = false;
        fd = open(path, O_WRONLY | O_CLOEXEC);
    }
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        if (fd >= 0 && created)
            unlink(path);
        return complain(path, r);
    }
    *output = (struct output){ .path = path, .file = file, .created = created };
    return 0;
}

int output_write(struct output *output, const struct comparison *comparison,
                 int (*write)(const struct comparison *comparison, FILE *file))
{
    if (!output->file)
        return 0;
    output->created = false;
    if (ftruncate(fileno(output->file), 0) < 0 && errno != EINVAL)  /* EINVAL: a pipe or a terminal */
        return complain(output->path, -errno);
    int r = write(comparison, output->file);
    return r < 0 ? complain(output->path, r) : 0;
}

void output_close(struct output *output)
{
    if (!output->file)
        return;
    fclose(output->file);
    if (output->created)
        unlink(output->path);
    *output = (struct output){ 0 };
}
