import CUTF8Proc
import Glibc

/// Texts of names in the form in which two spellings of one name are equal.
public enum NameText {
  /// The words of a name: compatibility forms made one and case folded (NFKC_Casefold of the Unicode Standard, chapter 3.13), punctuation
  /// and symbols out, parted at blanks and hyphens. Empty for a text without letters.
  public static func words(_ text: String) -> [String] {
    folded(text).split { $0.properties.isWhitespace || $0.properties.generalCategory == .dashPunctuation }
      .map { word in String(String.UnicodeScalarView(word.filter { isKept($0) })) }
      .filter { !$0.isEmpty }
  }

  private static func isKept(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .nonspacingMark, .spacingMark,
      .enclosingMark, .decimalNumber, .letterNumber, .otherNumber:
      true
    default: false
    }
  }

  private static func folded(_ text: String) -> String.UnicodeScalarView {
    var copy = text
    return copy.withUTF8 { bytes -> String.UnicodeScalarView in
      guard !bytes.isEmpty else { return String.UnicodeScalarView() }
      var result: UnsafeMutablePointer<UInt8>?
      let options: [utf8proc_option_t] = [UTF8PROC_STABLE, UTF8PROC_COMPOSE, UTF8PROC_COMPAT, UTF8PROC_CASEFOLD, UTF8PROC_IGNORE]
      let flags = options.reduce(UInt32(0)) { $0 | UInt32($1.rawValue) }
      let count = utf8proc_map(bytes.baseAddress, bytes.count, &result, utf8proc_option_t(rawValue: flags))
      guard count >= 0, let result else { return String(decoding: bytes, as: UTF8.self).unicodeScalars }
      defer { free(result) }
      return String(decoding: UnsafeBufferPointer(start: result, count: count), as: UTF8.self).unicodeScalars
    }
  }
}
