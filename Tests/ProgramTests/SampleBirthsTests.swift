import JSON
import Testing

extension ProgramTests {
  @Suite struct SampleBirthsTests {
    private func births(_ count: Int, seed: Int = 1, run: String = "TEST") async throws -> [JSONValue] {
      let ended = try await Program.run("sample", "births", "--births", "\(count)", "--seed", "\(seed)", "--run", run)
      #expect(ended.code == 0, "\(ended.errors)")
      return try ended.output.split(separator: "\n").map { try JSONValue.parse(String($0)) }
    }

    private func resources(_ birth: JSONValue, _ type: String) -> [JSONValue] {
      (birth["event"]?["context"]?[0]?["entry"]?.array ?? []).compactMap { $0["resource"] }.filter {
        $0["resourceType"]?.string == type
      }
    }

    private func number(_ birth: JSONValue) -> String? {
      resources(birth, "Task").first?["identifier"]?.array?
        .first { $0["system"]?.string?.hasSuffix("/birth-registration-number") == true }?["value"]?.string
    }

    @Test func `the same seed and run make the same births`() async throws {
      let first = try await births(24)
      #expect(first == (try await births(24)))
      #expect(first != (try await births(24, seed: 2)))
    }

    @Test func `no two births of any run share a number or a record`() async throws {
      let all = try await births(60) + births(60, run: "OTHER")
      let numbers = Set(all.compactMap(number))
      let records = Set(all.compactMap { resources($0, "Task").first?["focus"]?["reference"]?.string })
      #expect(numbers.count == 120)
      #expect(records.count == 120)
    }

    @Test func `every birth has a child with its number`() async throws {
      for birth in try await births(48) {
        let wanted = try #require(number(birth))
        let children = resources(birth, "Patient").filter { person in
          person["identifier"]?.array?.contains {
            $0["value"]?.string == wanted
              && ($0["type"]?.string ?? $0["type"]?["coding"]?[0]?["code"]?.string) == "BIRTH_REGISTRATION_NUMBER"
          } == true
        }
        #expect(children.count == 1)
        #expect(birth["event"]?["hub"]?["topic"]?.string == "BIRTH_REGISTERED")
      }
    }

    @Test func `some phones are taken by the shipped identity schema and some are not`() async throws {
      let phones = try await births(12).compactMap { birth in
        resources(birth, "Task").first?["extension"]?.array?
          .first { $0["url"]?.string?.hasSuffix("/contact-person-phone-number") == true }?["valueString"]?.string
      }
      #expect(phones.count == 12)
      // The shipped pattern: ten digits, with or without a plus.
      #expect(phones.count { $0.wholeMatch(of: /[+]*[0-9]{10}/) != nil } == 8)
    }

    @Test func `every form and every kind of family occur`() async throws {
      let all = try await births(48)
      let newForm = all.filter { !resources($0, "Composition").isEmpty }
      #expect(newForm.count == 16)
      let middleForm = all.filter { birth in
        resources(birth, "Composition").isEmpty
          && resources(birth, "Patient").allSatisfy { person in
            person["name"]?[0]?["family"]?.array != nil
              && person["identifier"]?.array?.allSatisfy { $0["type"]?["coding"] != nil } == true
          }
          && resources(birth, "Patient").contains { $0["identifier"]?.array?.isEmpty == false }
      }
      #expect(middleForm.count == 16)
      #expect(
        all.contains {
          resources($0, "Patient").count == 1
            || resources($0, "RelatedPerson").first?.description.contains("GRANDMOTHER") == true
        })
      #expect(all.contains { resources($0, "RelatedPerson").first?.description.contains("FATHER") == true })
      #expect(all.contains { birth in Set(resources(birth, "Patient").map { $0["address"] == nil }) == [true] })
      let orders = all.flatMap { resources($0, "Patient") }.compactMap { $0["multipleBirthInteger"]?.int }
      #expect(orders.contains(1) && orders.contains(2))
      // In the newer form the mother stands before the child.
      #expect(newForm.contains { resources($0, "Patient").first?["identifier"]?.array?.isEmpty == true })
      let languages = Set(all.flatMap { resources($0, "Patient") }.compactMap { $0["name"]?[0]?["use"]?.string })
      #expect(languages == ["en", "fr", "ar", "am", "bn", "km", "kn", "es"])
    }
  }
}
