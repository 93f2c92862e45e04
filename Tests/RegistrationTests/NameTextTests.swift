import Registration
import Testing

@Suite("Texts of names", .timeLimit(.minutes(10)))
struct NameTextTests {
  @Test(arguments: [
    ("Zoé Lefèvre", "ZOE  LEFEVRE"), ("N'Guessan", "nguessan"), ("Mary-Anne", "Mary Anne"), ("Ｍｕñｏｚ", "Mun\u{303}oz"),
    ("Groß", "GROSS"), ("أَحْمَد", "احمد"), ("José.", " jose"), ("ﬁlip", "Filip"),
  ])
  func `of one name are the same letters, however they are written`(one: String, other: String) {
    #expect(NameText.letters(one) == NameText.letters(other))
    #expect(!NameText.letters(one).isEmpty)
  }

  @Test(arguments: [("Amina", "Aminata"), ("राम", "रमा"), ("ಸುಮಾ", "ಸಮಾ"), ("សុខ", "សខ"), ("কিরণ", "কুরণ"), ("ليلى", "ليلا")])
  func `of different names are different letters: vowel signs are letters of their scripts`(one: String, other: String) {
    #expect(NameText.letters(one) != NameText.letters(other))
  }

  @Test func `without a letter are nothing`() {
    #expect(["", " ", "-", "…!", "\u{301}"].allSatisfy { NameText.letters($0).isEmpty })
  }
}
