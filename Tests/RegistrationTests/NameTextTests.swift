import Registration
import Testing

@Suite("Texts of names", .timeLimit(.minutes(10)))
struct NameTextTests {
  @Test(
    "of one name are the same letters, however they are written",
    arguments: [
      ("Zoé Lefèvre", "ZOE  LEFEVRE"), ("N'Guessan", "nguessan"), ("Mary-Anne", "Mary Anne"), ("Ｍｕñｏｚ", "Mun\u{303}oz"),
      ("Groß", "GROSS"), ("أَحْمَد", "احمد"), ("José.", " jose"), ("ﬁlip", "Filip"),
    ])
  func same(one: String, other: String) {
    #expect(NameText.letters(one) == NameText.letters(other))
    #expect(!NameText.letters(one).isEmpty)
  }

  @Test(
    "of different names are different letters: vowel signs are letters of their scripts",
    arguments: [("Amina", "Aminata"), ("राम", "रमा"), ("ಸುಮಾ", "ಸಮಾ"), ("សុខ", "សខ"), ("কিরণ", "কুরণ"), ("ليلى", "ليلا")])
  func different(one: String, other: String) {
    #expect(NameText.letters(one) != NameText.letters(other))
  }

  @Test("without a letter are nothing") func empty() {
    #expect(["", " ", "-", "…!", "\u{301}"].allSatisfy { NameText.letters($0).isEmpty })
  }
}
