// Ready when an MQTT broker accepts a client: a CONNECT of MQTT 3.1.1 is answered with return code 0.
#include "mqtt.h"

#include <string.h>

typedef farrier_probe_dial_borrow_connection_t connection_t;

// A client without a name, for a clean session with a keepalive of 10 s (MQTT 3.1.1, 3.1).
static uint8_t CONNECT[] = {0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x02, 0, 10, 0, 0};
static uint8_t DISCONNECT[] = {0xe0, 0};

// The answer: its kind and length, whether the session is an old one, and the return code (3.2).
enum { CONNACK = 0x20, ANSWER_LENGTH = 4 };
enum { ACCEPTED = 0, UNAVAILABLE = 3, BAD_LOGIN = 4, NOT_AUTHORIZED = 5 };

static void ready(exports_farrier_probe_check_verdict_t *verdict) {
    verdict->tag = FARRIER_PROBE_TYPES_VERDICT_READY;
}

static void pending(exports_farrier_probe_check_verdict_t *verdict, const char *reason) {
    verdict->tag = FARRIER_PROBE_TYPES_VERDICT_PENDING;
    verdict->val.pending = (farrier_probe_types_pending_t){0};
    mqtt_string_dup(&verdict->val.pending.reason, reason);
}

static void failed(exports_farrier_probe_check_verdict_t *verdict, const char *reason) {
    verdict->tag = FARRIER_PROBE_TYPES_VERDICT_FAILED;
    mqtt_string_dup(&verdict->val.failed, reason);
}

static bool send(connection_t server, uint8_t *bytes, size_t length) {
    farrier_probe_dial_denial_t denial;
    mqtt_list_u8_t list = {bytes, length};
    if (farrier_probe_dial_method_connection_write(server, &list, &denial)) {
        return true;
    }
    farrier_probe_dial_denial_free(&denial);
    return false;
}

// Reads until the answer is whole or the stream ends; returns how many bytes came.
static size_t receive(connection_t server, uint8_t answer[ANSWER_LENGTH]) {
    size_t count = 0;
    while (count < ANSWER_LENGTH) {
        farrier_probe_dial_denial_t denial;
        mqtt_list_u8_t bytes;
        if (!farrier_probe_dial_method_connection_read(server, ANSWER_LENGTH - count, &bytes, &denial)) {
            farrier_probe_dial_denial_free(&denial);
            break;
        }
        memcpy(answer + count, bytes.ptr, bytes.len);
        count += bytes.len;
        bool ended = bytes.len == 0;
        mqtt_list_u8_free(&bytes);
        if (ended) {
            break;
        }
    }
    return count;
}

static void judge(connection_t server, exports_farrier_probe_check_verdict_t *verdict) {
    uint8_t answer[ANSWER_LENGTH] = {0};
    if (!send(server, CONNECT, sizeof CONNECT)) {
        pending(verdict, "the connection broke");
        return;
    }
    size_t count = receive(server, answer);
    if (count > 0 && answer[0] != CONNACK) {
        failed(verdict, "the port does not speak MQTT");
        return;
    }
    if (count < ANSWER_LENGTH) {
        pending(verdict, "the port is open, but no broker answers yet");
        return;
    }
    switch (answer[3]) {
    case ACCEPTED:
        send(server, DISCONNECT, sizeof DISCONNECT);
        ready(verdict);
        break;
    case UNAVAILABLE:
        pending(verdict, "the broker is not available yet");
        break;
    case BAD_LOGIN:
    case NOT_AUTHORIZED:
        failed(verdict, "the broker wants a login, which this probe does not have");
        break;
    default:
        failed(verdict, "the broker does not speak MQTT 3.1.1");
    }
}

void exports_farrier_probe_check_check(exports_farrier_probe_check_context_t *context,
                                       exports_farrier_probe_check_verdict_t *verdict) {
    farrier_probe_dial_own_connection_t server;
    farrier_probe_dial_denial_t denial;
    if (!context->port.is_some) {
        failed(verdict, "the interface declares no port");
    } else if (!farrier_probe_dial_connect(&context->host, context->port.val, NULL, &server, &denial)) {
        pending(verdict, denial.tag == FARRIER_PROBE_TYPES_DENIAL_REFUSED ? "connection refused" : "no connection");
        farrier_probe_dial_denial_free(&denial);
    } else {
        judge(farrier_probe_dial_borrow_connection(server), verdict);
        farrier_probe_dial_connection_drop_own(server);
    }
    exports_farrier_probe_check_context_free(context);
}
