/* switchboard: Python's socketserver for C. This header includes all the others. */
#ifndef SWITCHBOARD_SWITCHBOARD_H
#define SWITCHBOARD_SWITCHBOARD_H

#include <switchboard/address.h>
#include <switchboard/class.h>
#include <switchboard/frame.h>
#include <switchboard/generation.h>
#include <switchboard/handler.h>
#include <switchboard/request.h>
#include <switchboard/scoreboard.h>
#include <switchboard/server.h>

#endif
