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

  /// A name without anything that is written now one way and now another: compatibility forms decomposed (NFKD) and case folded, accents and points,
  /// blanks, punctuation and symbols out. Empty for a text without letters.
  ///
  /// Of the marks, those of the combining classes 10 to 36 (points of Hebrew, Arabic and Syriac) and from 200 on (accents) go. The others are
  /// vowels and other letters of their scripts: without them different names of South Asia would be one.
  public static func letters(_ text: String) -> String {
    let kept = folded(text, UTF8PROC_DECOMPOSE).filter { scalar in
      let mark = scalar.properties.canonicalCombiningClass.rawValue
      return isKept(scalar) && !(10...36).contains(mark) && mark < 200
    }
    return String(String.UnicodeScalarView(kept))
  }

  private static func isKept(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .nonspacingMark, .spacingMark,
      .enclosingMark, .decimalNumber, .letterNumber, .otherNumber:
      true
    default: false
    }
  }

  private static func folded(_ text: String, _ form: utf8proc_option_t = UTF8PROC_COMPOSE) -> String.UnicodeScalarView {
    var copy = text
    return copy.withUTF8 { bytes -> String.UnicodeScalarView in
      guard !bytes.isEmpty else { return String.UnicodeScalarView() }
      var result: UnsafeMutablePointer<UInt8>?
      let options: [utf8proc_option_t] = [UTF8PROC_STABLE, form, UTF8PROC_COMPAT, UTF8PROC_CASEFOLD, UTF8PROC_IGNORE]
      let flags = options.reduce(UInt32(0)) { $0 | UInt32($1.rawValue) }
      let count = utf8proc_map(bytes.baseAddress, bytes.count, &result, utf8proc_option_t(rawValue: flags))
      guard count >= 0, let result else { return String(decoding: bytes, as: UTF8.self).unicodeScalars }
      defer { free(result) }
      return String(decoding: UnsafeBufferPointer(start: result, count: count), as: UTF8.self).unicodeScalars
    }
  }
}
