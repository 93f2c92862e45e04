/// An element of an XML document, with the place where it begins.
public struct XMLElement: Sendable {
  /// An attribute. A declaration of a namespace is one too: `xmlns="u"` is called `xmlns`, and `xmlns:p="u"` is called `p`.
  public struct Attribute: Sendable {
    /// The name without its prefix.
    public let name: String
    /// Whether it declares a namespace.
    public let isDeclaration: Bool
    /// The value, with its entities put in.
    public let value: String
  }

  /// The name without its namespace's prefix.
  public let name: String
  /// The namespace that is declared for its prefix; empty when there is none.
  public let namespace: String
  /// The attributes in their order.
  public let attributes: [Attribute]
  /// The elements directly inside, in their order.
  public internal(set) var children: [XMLElement] = []
  /// The text directly inside, children left out.
  public internal(set) var text = ""
  /// The line where it begins, from 1 on.
  public let line: Int
  /// The character in that line, from 1 on.
  public let column: Int

  /// The value of an attribute that is no declaration; nil when there is none.
  public subscript(_ attribute: String) -> String? { attributes.first { $0.name == attribute && !$0.isDeclaration }?.value }

  /// The first child of a name; nil when there is none.
  public func first(_ name: String) -> XMLElement? { children.first { $0.name == name } }

  /// The text without the blanks around it.
  public var trimmed: String {
    var part = text[...]
    while let first = part.first, first.isWhitespace { part.removeFirst() }
    while let last = part.last, last.isWhitespace { part.removeLast() }
    return String(part)
  }
}

/// How much XML is read.
public struct XMLLimits: Sendable {
  /// Bytes of the document.
  public var bytes: Int
  /// Elements in all.
  public var elements: Int
  /// Elements in each other.
  public var depth: Int
  /// Attributes of one element, and namespaces declared at one place.
  public var attributes: Int

  /// Limits.
  public init(bytes: Int = 10 << 20, elements: Int = 100_000, depth: Int = 64, attributes: Int = 64) {
    self.bytes = bytes
    self.elements = elements
    self.depth = depth
    self.attributes = attributes
  }
}

/// Why bytes are refused as XML.
public struct XMLError: Error, Sendable {
  /// What is wrong, in words that hold nothing of the document.
  public enum Fault: String, Sendable {
    case tooLarge = "too many bytes"
    case notUTF8 = "the text is not UTF-8"
    case endsEarly = "the XML ends too early"
    case textOutside = "text outside of any element"
    case documentType = "a document type"
    case declaration = "a declaration that is not known"
    case wrongEnd = "an end that fits no element"
    case secondRoot = "more than one root element"
    case tooManyElements = "too many elements"
    case tooDeep = "elements too deep in each other"
    case name = "a name that is none"
    case attributeWithoutValue = "an attribute without a value"
    case attributeTwice = "an attribute twice"
    case tooManyAttributes = "too many attributes"
    case openEntity = "an entity without an end"
    case unknownEntity = "an unknown entity"
  }

  /// What is wrong.
  public let fault: Fault
  /// The same for whoever may see the document: it can hold names of it.
  public let message: String
  /// What may help.
  public let suggestion: String?
  /// The line, from 1 on.
  public let line: Int
  /// The character in that line, from 1 on.
  public let column: Int
}
