import TestSupport
import Glibc
import JSON
import Kafka
import System
import Testing

extension ProgramTests {
  /// Stages of ours between stages that MOSIP's Java runs.
  @Suite(.enabled(if: TransactionalBroker.isThere, "no broker with transactions is installed"))
  struct MixedPipelineTests {
    private static let fields = [
      "internalError", "isValid", "iteration", "lastHopTimestamp", "messageBusAddress", "reg_type", "retryCount", "rid", "source",
      "tags", "workflowInstanceId",
    ]

    private func rids(_ numbers: Range<Int>) -> [String] {
      numbers.map { "10001100010\($0.digits(4))20260101120000" }
    }

    /// What a Java stage may take for granted of a record of its input.
    private func expectReadable(_ record: JavaRecord, from stage: String) throws {
      #expect(record.key == "\(record.rid)_\(stage)-new-bus-out_\(stage)-bus-in")
      #expect(record.headers["RID"] == record.key)
      let b3 = try #require(record.headers["b3"])
      #expect(b3.split(separator: "-").map(\.count) == [32, 16], "\(b3)")
      #expect(b3.prefix(33) == JavaPeer.b3.prefix(33), "the trace goes on: \(b3)")
      guard case .object(let object) = record.json else {
        Issue.record("no object")
        return
      }
      #expect(object.map(\.key).sorted() == Self.fields, "every field is there, and no other")
      #expect(object["source"] == .null && object["retryCount"] == .null, "null is written")
      #expect(record.json["messageBusAddress"] == ["address": .string("\(stage)-bus-in")])
      #expect(record.json["isValid"] == true && record.json["internalError"] == false && record.json["iteration"] == 1)
      #expect(record.json["workflowInstanceId"]?.string == "w-\(record.rid)" && record.json["reg_type"] == "NEW")
      let time = try #require(record.json["lastHopTimestamp"]?.string)
      #expect(time.count == 24 && time.hasSuffix("Z") && Array(time.utf8)[19] == UInt8(ascii: "."), "\(time)")
    }

    @Test func `messages go from Java to us and back over the bridge once each also when it is killed`() async throws {
      let pipeline = try await MixedPipeline()
      let (receiver, validator) = (
        JavaPeer(prefix: "packet-receiver", kafka: pipeline.kafka), JavaPeer(prefix: "c-m-d-validator", kafka: pipeline.kafka)
      )
      try await pipeline.start("bridge")
      try await pipeline.start("securezone-notification")
      let all = rids(100..<160)
      try await pipeline.register(all)

      // From a Java stage to ours, and on to a Java stage; the bridge is killed in the middle.
      try await pipeline.send(receiver, Array(all[..<20]))
      _ = try await pipeline.records(validator.busIn, 20)
      // This broker keeps what a killed bridge's successor sends from readers that saw the transaction's end (KafkaTests, "what a successor
      // commits"); a stage that starts afterwards gets it.
      _ = try await pipeline.terminate("securezone-notification")
      try await pipeline.send(receiver, Array(all[20..<40]))
      try await pipeline.kill("bridge")
      try await pipeline.send(receiver, Array(all[40...]))
      try await pipeline.start("bridge")
      let forwarded = try await pipeline.records("securezone-notification-bus-in", 60)
      #expect(forwarded.map(\.rid).sorted() == all, "each once")
      for record in forwarded {
        #expect(record.key == receiver.key(record.rid) && record.headers["RID"] == record.key)
        #expect(record.headers["b3"] == JavaPeer.b3, "the trace goes on")
        #expect(record.json["messageBusAddress"]?["address"]?.string == "packet-receiver-bus-in", "the body is not touched")
      }
      try await pipeline.start("securezone-notification")
      let taken = try await pipeline.records(validator.busIn, 60)
      #expect(taken.map(\.rid).sorted() == all, "each once: \(pipeline.troubles)")
      for record in taken { try expectReadable(record, from: "securezone-notification") }

      // The Java stage answers: some pass, some do not.
      try await pipeline.send(validator, Array(all[..<50]))
      try await pipeline.send(validator, Array(all[50...]), valid: false)
      let commands = try await pipeline.records("workflow-internal-action", 70)
      let codes = Dictionary(grouping: commands) { $0.json["actionCode"]?.string ?? "" }
      #expect(codes.mapValues(\.count) == ["COMPLETE_AS_PROCESSED": 50, "COMPLETE_AS_FAILED": 10, "ANONYMOUS_PROFILE": 10])
      #expect(codes["COMPLETE_AS_PROCESSED"]?.map(\.rid).sorted() == Array(all[..<50]))
      for command in commands {
        let code = try #require(command.json["actionCode"]?.string)
        #expect(command.key == validator.key(command.rid) + "_" + code.lowercased())
        #expect(command.headers["b3"] == JavaPeer.b3 && command.headers["RID"] == validator.key(command.rid))
        #expect(command.json["isValid"] == .null && command.json["tags"] == .null && command.json["iteration"] == 1)
      }

      // The journal has every hop once, those of the Java stages too.
      let journey = try JSONValue.parse(try await pipeline.command("journey", all[0], "--json").output)
      #expect(
        journey["hops"]?.array?.map { $0["stage"]?.string } == ["packet-receiver", "securezone-notification", "cmd-validator"])
      #expect(journey["hops"]?.array?.map { $0["state"]?.string } == ["done", "done", "done"])
      #expect(journey["status"]?.string == "PROCESSED")
      #expect(try await pipeline.terminate("bridge")?.code == 0)
      try await pipeline.stop()
    }

    @Test func `what a Java stage does not answer two reprocessors of which one is killed send again`() async throws {
      let pipeline = try await MixedPipeline()
      let (receiver, validator) = (
        JavaPeer(prefix: "packet-receiver", kafka: pipeline.kafka), JavaPeer(prefix: "c-m-d-validator", kafka: pipeline.kafka)
      )
      try await pipeline.start("securezone-notification")
      let all = rids(700..<730)
      try await pipeline.register(all)
      try await pipeline.send(receiver, all, to: "securezone-notification-bus-in")
      _ = try await pipeline.records(validator.busIn, 30)
      try await pipeline.sql {
        _ = try $0.execute(
          "UPDATE regprc.registration SET latest_trn_dtimes = latest_trn_dtimes - interval '1 hour', reg_process_retry_count = 0")
        _ = try $0.execute(
          """
          UPDATE regproc.hop SET sent_at = sent_at - interval '1 hour', taken_at = taken_at - interval '1 hour',
            decided_at = decided_at - interval '1 hour', done_at = done_at - interval '1 hour'
          """)
      }
      let settings = ["REGPROC_STAGE_REPROCESSOR_EVERY": "1", "REGPROC_KAFKA_TOPICS": "own"]
      for instance in ["one", "two"] { try await pipeline.start("reprocessor", instance: instance, settings: settings) }
      try await pipeline.kill("reprocessor", instance: "two")
      let sent = try await pipeline.records(validator.busIn, 60)
      #expect(Set(sent.map(\.key)).count == 60, "no key is one that the stage has seen")
      for rid in all { #expect(sent.count { $0.rid == rid } == 2, "\(rid)") }
      let hops = try JSONValue.parse(try await pipeline.command("journey", all[0], "--json").output)
      #expect(hops["next"]?.array?.contains { $0["what"]?.string == "second-try" && $0["at"] != .null } == true, "\(hops)")
      #expect(try await pipeline.terminate("reprocessor")?.code == 0)
      try await pipeline.stop()
    }

    @Test func `without a bridge of ours a record that Camel forwarded is taken as well`() async throws {
      let pipeline = try await MixedPipeline()
      let receiver = JavaPeer(prefix: "packet-receiver", kafka: pipeline.kafka)
      try await pipeline.start("securezone-notification")
      let all = rids(200..<205)
      try await pipeline.register(all)
      try await pipeline.send(receiver, all, to: "securezone-notification-bus-in")
      let taken = try await pipeline.records("c-m-d-validator-bus-in", 5)
      #expect(taken.map(\.rid).sorted() == all)
      for record in taken { try expectReadable(record, from: "securezone-notification") }
      // What a stage elsewhere sends is not read by a stage of ours.
      try await pipeline.send(receiver, all)
      let end = try await pipeline.terminate("securezone-notification")
      #expect(end?.code == 0)
      #expect(try await pipeline.records("c-m-d-validator-bus-in", 5).count == 5)
      try await pipeline.stop()
    }

    @Test func `an edit is followed by all and a stage that messages wait for is named before it is removed`() async throws {
      let pipeline = try await MixedPipeline()
      let (receiver, validator) = (
        JavaPeer(prefix: "packet-receiver", kafka: pipeline.kafka), JavaPeer(prefix: "c-m-d-validator", kafka: pipeline.kafka)
      )
      #expect(try await pipeline.command("topics", "create").code == 0)
      try await pipeline.start("bridge")
      try await pipeline.start("securezone-notification")
      let pinned = MixedPipeline.routes.replacing("  NEW:\n", with: "  NEW:\n    pin: true\n")
      let edited = try pipeline.folder.write(pinned, to: "edited.yaml")

      // Who is behind a file that is not in force yet; then the file is put in force, and all are in step.
      let before = try await pipeline.command("routes", "status", "--json", "--routes", edited)
      #expect(before.code == 1, "\(before.errors)")
      let states = try before.lines.map { try JSONValue.parse(Array($0.utf8)) }.filter { $0["kind"] == "process" }
      #expect(states.map { $0["stages"]?[0]?.string } == ["bridge", "securezone-notification"])
      #expect(states.allSatisfy { $0["state"] == "behind" })
      #expect(try await pipeline.command("routes", "status").code == 0)
      _ = try pipeline.folder.write(pinned, to: "routes.yaml.new")
      #expect(rename(pipeline.folder.path + "/routes.yaml.new", pipeline.routesFile) == 0)
      #expect(try await eventually { try await pipeline.command("routes", "status").code == 0 })
      // A file with a fault is refused by all, and that is told.
      _ = try pipeline.folder.write(pinned.replacing("- securezone-notification", with: "- securezone"), to: "routes.yaml.new")
      #expect(rename(pipeline.folder.path + "/routes.yaml.new", pipeline.routesFile) == 0)
      #expect(
        try await eventually {
          let words = try await pipeline.command("routes", "status", "--routes", edited, "--json").output
          return words.split(separator: "\n").count { $0.contains("\"state\":\"refused\"") } == 2
        })

      _ = try pipeline.folder.write(pinned, to: "routes.yaml.new")
      #expect(rename(pipeline.folder.path + "/routes.yaml.new", pipeline.routesFile) == 0)
      #expect(try await eventually { try await pipeline.command("routes", "status").code == 0 })

      // Messages wait for the stage of ours: three that the journal knows, two of somebody else's; and four answers for the bridge.
      #expect(try await pipeline.terminate("securezone-notification")?.code == 0)
      let all = rids(300..<310)
      try await pipeline.send(receiver, Array(all[..<3]))
      _ = try await pipeline.records("securezone-notification-bus-in", 3)
      #expect(try await pipeline.terminate("bridge")?.code == 0)
      try await pipeline.send(receiver, Array(all[3..<5]), to: "securezone-notification-bus-in")
      try await pipeline.send(validator, Array(all[5..<9]))
      let without = """
        version: 1
        on: { failed: [complete-as-failed, anonymous-profile], error: complete-as-failed, retry: mark-as-reprocess }
        flows:
          NEW:
            route:
              - packet-receiver: { runs: elsewhere, passed: complete-as-processed }

        """
      let file = try pipeline.folder.write(without, to: "without.yaml")
      let diff = try await pipeline.command("routes", "diff", edited, file, "--live")
      #expect(diff.code == 1)
      #expect(
        diff.lines.filter { $0.contains(" wait") } == [
          "5 messages of NEW wait for securezone-notification, which the new file does not have",
          "4 messages of NEW, answered by cmd-validator, wait for the bridge; the new file does not have the stage",
        ], "\(diff.output) \(diff.errors)")
      // Nothing was moved by the looking.
      try await pipeline.register(all)
      try await pipeline.start("securezone-notification")
      #expect(try await pipeline.records(validator.busIn, 5).map(\.rid).sorted() == Array(all[..<5]))
      try await pipeline.stop()
    }

    @Test func `a stage changes hands by an edit while all run`() async throws {
      let pipeline = try await MixedPipeline()
      let stage = JavaPeer(prefix: "securezone-notification", kafka: pipeline.kafka)
      let receiver = JavaPeer(prefix: "packet-receiver", kafka: pipeline.kafka)
      #expect(try await pipeline.command("topics", "create").code == 0)
      try await pipeline.start("bridge")
      try await pipeline.start("securezone-notification")
      let all = rids(600..<640)
      try await pipeline.register(all)
      try await pipeline.send(receiver, Array(all[..<10]))
      let validator = "c-m-d-validator-bus-in"
      #expect(try await pipeline.records(validator, 10).map(\.rid).sorted() == Array(all[..<10]))

      // To Java: what comes meanwhile waits for it, and what it answers goes on.
      let mark = "- securezone-notification"
      try await pipeline.edit(MixedPipeline.routes.replacing(mark, with: mark + ": { runs: elsewhere }"))
      #expect(try await pipeline.heard("its messages are left alone", from: "securezone-notification"))
      try await pipeline.send(receiver, Array(all[10..<20]))
      #expect(try await pipeline.records("securezone-notification-bus-in", 20).count == 20)
      try await pipeline.send(stage, Array(all[10..<15]))
      #expect(try await pipeline.records(validator, 15).map(\.rid).sorted() == Array(all[..<15]), "\(pipeline.troubles)")

      // And back, with a topic of an older release besides. Of the ten that Java took the first five are done; those it did not answer
      // are ours now, as its group stands at the start.
      let old = "old-securezone-bus-in"
      try await pipeline.edit(
        MixedPipeline.routes.replacing("version: 1\n", with: "version: 1\nforwards: { \(old): securezone-notification }\n"))
      try await pipeline.send(receiver, Array(all[20..<30]))
      try await pipeline.send(receiver, Array(all[30...]), to: old)
      let taken = try await pipeline.records(validator, 40)
      #expect(Set(taken.map(\.rid)) == Set(all), "\(pipeline.troubles)")
      #expect(taken.count == 40, "each once")
      try await pipeline.stop()
    }
  }
}
