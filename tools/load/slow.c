#include "slow.h"

#include "connection.h"

void slow_dial(struct run *run, struct client *client, uint64_t now_ns)
{
    if (connection_dial(run, client) == 0 && connection_watch(run, client, false) == 0) {
        line_join(&run->dripping, &client->place, now_ns);
        return;
    }
    connection_hang_up(client);
    line_join(&run->resting, &client->place, now_ns);
}

void slow_drip(struct run *run, struct client *client, uint64_t now_ns)
{
    char byte = dialogue_drip(&run->plan->dialogue, client->sent++);
    send(client->fd, &byte, 1, MSG_NOSIGNAL);
    line_join(&run->dripping, &client->place, now_ns);
}
