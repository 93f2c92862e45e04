#ifndef REGPROC_CFORWARDER_H
#define REGPROC_CFORWARDER_H
// The yardstick of the engine: what a careful C program needs for the same records, batches and transactions, without looking into them.

struct forwarder_plan {
  /// Names and values in turn, NULL at the end.
  const char *const *consumer_properties;
  const char *const *producer_properties;
  const char *from;
  const char *to;
  int batch;
  long records;
};

struct forwarder_result {
  /// Records behind the first batch, which carries the costs of the start.
  long records;
  /// From the end of the first batch to the end of the last.
  double seconds;
  /// Processor time of the whole process in that span.
  double cpu_seconds;
  long batches;
};

/// Forwards so many records; 0, or -1 with a reason.
int forwarder_run(const struct forwarder_plan *plan, struct forwarder_result *result, char *reason, unsigned long size);
#endif
