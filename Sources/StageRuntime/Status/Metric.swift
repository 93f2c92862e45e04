import StageKit

/// Every metric that a process tells at `/actuator/prometheus`, beside the counts that plugins declare. What is not in this list cannot
/// be told.
package enum Metric: String, Sendable, CaseIterable {
  case assignedPartitions = "regproc_assigned_partitions"
  case batches = "regproc_batches_total"
  case deadLetters = "regproc_dead_letters_total"
  case hops = "regproc_hops_total"
  case kafkaLinesLeftOut = "regproc_kafka_log_lines_left_out_total"
  case loopFailures = "regproc_loop_failures_total"
  case outboxHealed = "regproc_outbox_healed_total"
  case outboxSent = "regproc_outbox_sent_total"
  case paused = "regproc_paused"
  case recordsLost = "regproc_records_lost_total"
  case redelivered = "regproc_redelivered_total"
  case removed = "regproc_retention_removed_total"
  case refused = "regproc_refused_total"
  case routesInfo = "regproc_routes_info"
  case routesRefused = "regproc_routes_refused"
  case spoolKept = "regproc_spool_kept_total"
  case spoolOldest = "regproc_spool_oldest_seconds"
  case spoolSetAside = "regproc_spool_set_aside"
  case spoolTaken = "regproc_spool_taken_total"
  case spoolWaiting = "regproc_spool_waiting"
  case stageBusy = "regproc_stage_busy_microseconds_total"
  case standstill = "regproc_standstill_seconds"
  case certificateEnd = "regproc_tls_certificate_not_after_seconds"
  case certificateFailures = "regproc_tls_reload_failures_total"
  case uptime = "regproc_uptime_seconds"
  case workDone = "regproc_work_done_total"
  case workFailures = "regproc_work_failures_total"

  /// What it is, for Prometheus and for the reference.
  package var family: MetricFamily {
    let (labels, help): ([String], String) =
      switch self {
      case .assignedPartitions: (["stage"], "Partitions of Kafka that the worker has; 0 for long: it reads nothing.")
      case .batches: (["stage"], "Batches whose messages and offsets are on the bus for good.")
      case .deadLetters: (["stage"], "Records that no stage can read, and messages whose tries were used up.")
      case .hops: (["stage", "verdict"], "Messages that were judged, by verdict: passed, failed, retry or error.")
      case .kafkaLinesLeftOut: ([], "Lines of the Kafka client that the log left out, because the same came again and again.")
      case .loopFailures: (["stage"], "Rounds of the delivery loop that failed; their batch is read again after a pause.")
      case .outboxHealed: ([], "Messages that nobody had taken for too long and that were sent again.")
      case .outboxSent: ([], "Messages and records that waited in the database and were sent.")
      case .paused: (["stage"], "1 while an operator holds the stage, or with the stage \"intake\" all that is new; else 0.")
      case .recordsLost: (["stage"], "Records that the broker threw away before they were read.")
      case .redelivered: (["stage"], "Messages that came again; their verdict was known and only sent again.")
      case .removed:
        (["what"], "What was removed because nothing needs it any more, by the setting that says for how long it is kept.")
      case .refused: (["what", "reason"], "Callers and deliveries that were refused, by what they were and why.")
      case .routesInfo: (["digest"], "Always 1; the digest is that of the route file in force.")
      case .routesRefused: ([], "1 while the route file on disk is not taken because it is wrong; else 0.")
      case .spoolKept: (["stage"], "Requests that were kept in the spool, since they could not be taken at once.")
      case .spoolOldest: (["stage"], "For how long the first request of the spool waits; 0 while none does.")
      case .spoolSetAside: (["stage"], "Requests that were set aside from the spool and are still there: regproc spool list.")
      case .spoolTaken: (["stage"], "Requests of the spool that were taken into the database.")
      case .spoolWaiting: (["stage"], "Requests that wait in the spool.")
      case .stageBusy: (["stage"], "Time that judging took, of all messages together.")
      case .standstill: (["name"], "For how long a thread has not come on; 0 for one that works.")
      case .certificateEnd: (["listener"], "The end of the certificate in force, as seconds since 1970.")
      case .certificateFailures: (["listener"], "Certificates on disk that could not be taken; the one in force stays.")
      case .uptime: ([], "Seconds since the process started.")
      case .workDone: ([], "Pieces of durable work that were done.")
      case .workFailures: ([], "Tries of durable work that failed.")
      }
    return MetricFamily(name: rawValue, labels: labels, help: help)
  }
}

/// A metric: its name, its labels and what it says.
package struct MetricFamily: Sendable {
  /// The name as Prometheus has it.
  package let name: String
  /// The names of its labels, in order.
  package let labels: [String]
  /// One sentence.
  package let help: String
  /// `counter` for what only grows until the process ends, else `gauge`.
  package var type: String { name.hasSuffix("_total") ? "counter" : "gauge" }

  init(name: String, labels: [String], help: String) {
    self.name = name
    self.labels = labels
    self.help = help
  }

  /// The metric of a count that a plugin declares; each stage of the plugin has its own.
  package init(_ count: CountField) {
    self.init(name: "regproc_stage_\(count.name)_total", labels: ["stage"], help: count.help)
  }
}

/// Metrics in the text format of Prometheus.
struct MetricsText {
  private var families: [String: (family: MetricFamily, lines: [String])] = [:]

  mutating func add(_ metric: Metric, _ labels: String..., value: Int) { add(metric.family, labels, value) }

  /// The counts of a stage's plugin, those that it declares.
  mutating func add(_ counts: [String: Int], declared: [CountField], stage: String) {
    for field in declared { add(MetricFamily(field), [stage], counts[field.name] ?? 0) }
  }

  private mutating func add(_ family: MetricFamily, _ labels: [String], _ value: Int) {
    precondition(labels.count == family.labels.count, "\(family.name) has other labels")
    let pairs = zip(family.labels, labels).map { "\($0)=\"\($1)\"" }.joined(separator: ",")
    families[family.name, default: (family, [])].lines.append(
      pairs.isEmpty ? "\(family.name) \(value)\n" : "\(family.name){\(pairs)} \(value)\n")
  }

  /// All of them, by name.
  var text: String {
    families.sorted { $0.key < $1.key }.map { name, known in
      "# HELP \(name) \(known.family.help)\n# TYPE \(name) \(known.family.type)\n" + known.lines.joined()
    }.joined()
  }
}
