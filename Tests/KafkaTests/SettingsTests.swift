import Testing

@testable import Kafka

@Suite(.timeLimit(.minutes(30))) struct SettingsTests {
  private func failure(_ properties: [String: String]) -> KafkaError? {
    #expect(throws: KafkaError.self) {
      try KafkaSettings(bootstrapServers: "127.0.0.1:1", properties: properties, logsWarnings: false).check()
    }
  }

  @Test
  func `an unknown property is a configuration error that names it`() {
    let error = failure(["fetch.wait.max.millis": "1"])
    #expect(error?.code == .configuration)
    #expect(error?.description.contains("'fetch.wait.max.millis'") == true)
  }

  @Test
  func `a value that is not accepted is not repeated in the error`() {
    let error = failure(["security.protocol": "hunter2"])
    #expect(error?.code == .configuration)
    #expect(error?.description.contains("security.protocol") == true)
    #expect(error?.description.contains("hunter2") == false)
  }

  @Test(arguments: ["enable.auto.commit", "enable.auto.offset.store", "group.id"])
  func `what delivery rests on cannot be set`(name: String) {
    #expect(failure([name: "true"])?.description.contains("'\(name)'") == true)
  }

  @Test
  func `TLS and SASL properties pass`() throws {
    let settings = KafkaSettings(
      bootstrapServers: "127.0.0.1:1",
      properties: [
        "security.protocol": "SASL_SSL", "sasl.mechanisms": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": "p",
        "ssl.endpoint.identification.algorithm": "https",
      ])
    #expect(throws: Never.self) { try settings.check() }
  }

  @Test
  func `a description of settings shows no value`() {
    let settings = KafkaSettings(bootstrapServers: "b:9092", properties: ["sasl.password": "hunter2"])
    var dumped = ""
    dump(settings, to: &dumped)
    for text in ["\(settings)", String(reflecting: settings), dumped] {
      #expect(!text.contains("hunter2"))
      #expect(text.contains("sasl.password"))
    }
  }

  @Test
  func `a key file that cannot be read is a configuration error when a client is made`() {
    let settings = KafkaSettings(
      bootstrapServers: "127.0.0.1:1",
      properties: ["security.protocol": "SSL", "ssl.ca.location": "/nowhere/ca.pem"], logsWarnings: false)
    let error = #expect(throws: KafkaError.self) { try KafkaProducer(settings: settings) }
    #expect(error?.code == .configuration)
  }

  @Test
  func `statistics are read whatever else is in them`() {
    let text = """
      { "name": "a \\"b\\"", "list":[1,{"x":[]}], "tx_bytes":12, "rx_bytes":34, "rxmsgs":5, "brokers":{
        "b:1/1": {"rtt":{"min":1, "avg":77}, "req":{"Fetch":1}}, "b:1/bootstrap": {"rtt":{"avg":0}}},
       "topics":{"t":{"age":1.5,"partitions":{"0":{"consumer_lag":9,"fetchq_cnt":2},"-1":{"consumer_lag":-1}}}}, "z":null }
      """
    var figures: KafkaStatistics?
    Array(text.utf8).withUnsafeBytes { figures = KafkaStatistics(json: $0) }
    #expect(figures?.bytesSent == 12)
    #expect(figures?.bytesReceived == 34)
    #expect(figures?.recordsReceived == 5)
    #expect(figures?.roundTripMicroseconds == ["b:1/1": 77])
    #expect(figures?.partitions == [TopicPartition("t", 0): KafkaStatistics.Partition(lag: 9, fetched: 2)])
  }

  @Test
  func `a transaction of a killed worker ends after ten seconds, unless somebody wants it otherwise`() throws {
    var settings = KafkaSettings(bootstrapServers: "127.0.0.1:1", logsWarnings: false)
    func value(_ name: String) throws -> String? {
      try settings.properties(ofProducer: "id").first { $0.name == name }?.value
    }
    #expect(try value("transaction.timeout.ms") == "10000")
    #expect(try value("topic.metadata.propagation.max.ms") == "5000")
    #expect(try value("topic.metadata.refresh.interval.ms") == "30000")
    _ = try KafkaProducer(settings: settings, transactionalId: "id")
    settings.producerProperties["transaction.timeout.ms"] = "20000"
    #expect(try value("transaction.timeout.ms") == "20000")
    settings.properties["message.timeout.ms"] = "20000"
    _ = try KafkaProducer(settings: settings, transactionalId: "id")
  }

  @Test(arguments: ["message.timeout.ms", "delivery.timeout.ms", "socket.timeout.ms"])
  func `what may outlive a transaction is refused, with what to change`(name: String) {
    let settings = KafkaSettings(bootstrapServers: "127.0.0.1:1", properties: [name: "60000"], logsWarnings: false)
    let error = #expect(throws: KafkaError.self) { try KafkaProducer(settings: settings, transactionalId: "id") }
    #expect(error?.code == .configuration)
    #expect(error?.detail.contains(name) == true && error?.detail.contains("transaction.timeout.ms (10000)") == true)
    #expect(throws: Never.self) { try KafkaProducer(settings: settings) }
  }

  @Test
  func `statistics say what keeps a consumer from reading, with partition and broker`() {
    func fault(_ brokers: String, _ partition: String, _ group: String = "\"state\":\"up\",\"join_state\":\"steady\"") -> String? {
      let text = "{\"brokers\":{\(brokers)},\"topics\":{\"t\":{\"partitions\":{\"3\":{\(partition)}}}},\"cgrp\":{\(group)}}"
      return Array(text.utf8).withUnsafeBytes { KafkaStatistics(json: $0).fault(of: [TopicPartition("t", 3)])?.reason }
    }
    let good = "\"b:9/1\":{\"nodeid\":1,\"state\":\"UP\"}"
    #expect(fault(good, "\"fetch_state\":\"active\",\"broker\":1") == nil)
    #expect(fault(good, "\"fetch_state\":\"none\",\"broker\":-1")?.contains("t/3") == true)
    #expect(fault(good, "\"fetch_state\":\"active\",\"broker\":-1") == "no broker leads t/3")
    #expect(fault(good, "\"fetch_state\":\"offset-wait\",\"broker\":1")?.contains("t/3") == true)
    #expect(
      fault("\"b:9/1\":{\"nodeid\":1,\"state\":\"CONNECT\"}", "\"fetch_state\":\"active\",\"broker\":1")
        == "b:9/1, which leads t/3, is CONNECT")
    let silent = "\"b:9/1\":{\"nodeid\":1,\"state\":\"UP\",\"rxidle\":9000000}"
    #expect(fault(silent, "\"fetch_state\":\"active\",\"broker\":1")?.contains("does not answer") == true)
    #expect(
      fault(silent, "\"fetch_state\":\"active\",\"broker\":1,\"fetchq_cnt\":5") == nil, "nothing is fetched while records wait")
    #expect(fault(good, "\"fetch_state\":\"active\",\"broker\":1", "\"state\":\"wait-coord\"")?.contains("coordinator") == true)
  }

  @Test
  func `statistics cut anywhere do no harm`() {
    let text = Array(
      #"{"tx_bytes":12,"brokers":{"b":{"rtt":{"avg":7}}},"topics":{"t":{"partitions":{"0":{"fetchq_cnt":1}}}}}"#.utf8)
    for length in 0..<text.count {
      text.prefix(length).withUnsafeBytes { bytes in
        let figures = KafkaStatistics(json: bytes)
        #expect(figures.bytesSent == (length < 13 ? 0 : length == 13 ? 1 : 12), "\(length)")
        #expect(figures.roundTripMicroseconds.isEmpty || length > 43, "\(length)")
      }
    }
  }
}
