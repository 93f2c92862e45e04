#include "CForwarder.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define PARTITIONS 64

static double wall(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *const *properties, char *reason, unsigned long size) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  for (; *properties; properties += 2)
    if (rd_kafka_conf_set(conf, properties[0], properties[1], reason, size) != RD_KAFKA_CONF_OK) {
      rd_kafka_conf_destroy(conf);
      return NULL;
    }
  return rd_kafka_new(type, conf, reason, size);
}

static int failed(rd_kafka_error_t *error, char *reason, unsigned long size) {
  if (!error) return 0;
  snprintf(reason, size, "%s", rd_kafka_error_string(error));
  rd_kafka_error_destroy(error);
  return 1;
}

static int produce(rd_kafka_t *producer, rd_kafka_topic_t *topic, rd_kafka_message_t *message, char *reason, unsigned long size) {
  static const char *const names[] = {"b3", "RID", "regproc-hop"};
  rd_kafka_headers_t *old = NULL, *headers = rd_kafka_headers_new(3);
  if (rd_kafka_message_headers(message, &old) == RD_KAFKA_RESP_ERR_NO_ERROR)
    for (int i = 0; i < 3; i++) {
      const void *value;
      size_t length;
      if (rd_kafka_header_get_last(old, names[i], &value, &length) == RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_header_add(headers, names[i], -1, value, (ssize_t)length);
    }
  rd_kafka_vu_t parts[] = {
      {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic},
      {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
      {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {message->key, message->key_len}},
      {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {message->payload, message->len}},
      {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
  };
  for (;;) {
    rd_kafka_error_t *error = rd_kafka_produceva(producer, parts, 5);
    if (!error) return 0;
    if (rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      rd_kafka_headers_destroy(headers);
      return failed(error, reason, size);
    }
    rd_kafka_error_destroy(error);
    rd_kafka_poll(producer, 50);
  }
}

static int commit(
    rd_kafka_t *consumer, rd_kafka_t *producer, const char *topic, const int64_t *next, char *reason, unsigned long size) {
  rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(PARTITIONS);
  for (int i = 0; i < PARTITIONS; i++)
    if (next[i] >= 0) rd_kafka_topic_partition_list_add(offsets, topic, i)->offset = next[i];
  rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(consumer);
  int bad = failed(rd_kafka_send_offsets_to_transaction(producer, offsets, group, 30000), reason, size) ||
            failed(rd_kafka_commit_transaction(producer, 60000), reason, size);
  rd_kafka_consumer_group_metadata_destroy(group);
  rd_kafka_topic_partition_list_destroy(offsets);
  return bad;
}

static int forward(
    rd_kafka_t *consumer, rd_kafka_t *producer, rd_kafka_topic_t *topic, const struct forwarder_plan *plan,
    struct forwarder_result *result, char *reason, unsigned long size) {
  if (failed(rd_kafka_init_transactions(producer, 30000), reason, size)) return -1;
  rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, plan->from, RD_KAFKA_PARTITION_UA);
  rd_kafka_subscribe(consumer, topics);
  rd_kafka_topic_partition_list_destroy(topics);
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
  rd_kafka_message_t **messages = calloc((size_t)plan->batch, sizeof *messages);
  int64_t next[PARTITIONS];
  double began = 0, cpu_began = 0, seen = wall();
  long total = 0, first = 0;
  int bad = 0;
  memset(result, 0, sizeof *result);
  while (!bad && total < plan->records) {
    ssize_t count = rd_kafka_consume_batch_queue(queue, 1000, messages, 1);
    if (count > 0) {
      ssize_t more = rd_kafka_consume_batch_queue(queue, 0, messages + 1, (size_t)plan->batch - 1);
      if (more > 0) count += more;
    }
    if (count <= 0) {
      if (wall() - seen > 60) {
        snprintf(reason, size, "no records for a minute");
        bad = 1;
      }
      continue;
    }
    seen = wall();
    for (int i = 0; i < PARTITIONS; i++) next[i] = -1;
    bad = failed(rd_kafka_begin_transaction(producer), reason, size);
    for (ssize_t i = 0; i < count; i++) {
      rd_kafka_message_t *message = messages[i];
      if (!bad && !message->err && message->partition < PARTITIONS) {
        bad = produce(producer, topic, message, reason, size);
        next[message->partition] = message->offset + 1;
        total++;
      }
      rd_kafka_message_destroy(message);
    }
    bad = bad || commit(consumer, producer, plan->from, next, reason, size);
    if (!first) {
      first = total;
      began = wall();
      cpu_began = cpu();
    } else {
      result->batches++;
    }
  }
  result->records = total - first;
  result->seconds = wall() - began;
  result->cpu_seconds = cpu() - cpu_began;
  free(messages);
  rd_kafka_queue_destroy(queue);
  return bad ? -1 : 0;
}

int forwarder_run(const struct forwarder_plan *plan, struct forwarder_result *result, char *reason, unsigned long size) {
  rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, plan->consumer_properties, reason, size);
  if (!consumer) return -1;
  rd_kafka_poll_set_consumer(consumer);
  rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, plan->producer_properties, reason, size);
  int status = -1;
  if (producer) {
    rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, plan->to, NULL);
    status = forward(consumer, producer, topic, plan, result, reason, size);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
  }
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  return status;
}
