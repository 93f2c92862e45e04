/// Postgres roles and Kafka's access control lists, when each stage has its own: what the program says of them, for the jobs that set them up.
public struct DeploymentRights: Sendable {
  /// What the names of roles begin with; a stage's name follows, with underscores.
  public var prefix: String
  /// Makes the roles, without passwords.
  public var rolesSQL: String
  /// Lines for a shell with `kafka-acls.sh`.
  public var kafkaLines: String

  public init(prefix: String = "regproc_", rolesSQL: String, kafkaLines: String) {
    self.prefix = prefix
    self.rolesSQL = rolesSQL
    self.kafkaLines = kafkaLines
  }

  func role(of name: String) -> String { prefix + name.replacing("-", with: "_") }

  /// The roles that are no stage's: whose tables it is, and who operates.
  static let others = ["owner", "operator"]

  /// A role's password: a stage's, or one of the others'.
  static func password(_ name: String) -> SecretFile {
    SecretFile(name: "\(name)-database-password", variable: DeploymentPlan.databaseSecret.variable)
  }

  /// The script of the job that makes the roles and gives each its password, as the database's first user.
  /// - Parameters:
  ///   - folder: where the secrets are.
  ///   - rights: where `roles.sql` is.
  func script(_ plan: DeploymentPlan, secrets folder: String, rights: String) -> String {
    let passwords = (Self.others + plan.services.map(\.name)).map { name in
      "  password \(role(of: name)) \(folder)/\(Self.password(name).name)\n"
    }.joined()
    let files = (Self.others + plan.services.map(\.name)).map { "\(folder)/\(Self.password($0).name)" }.joined(separator: " ")
    return """
      set -eu
      # Before anything is sent: no role gets an empty password.
      for file in \(files); do
        [ -s "$file" ] || { echo "make-roles: $file is missing or empty" >&2; exit 1; }
      done
      PGPASSWORD="$(cat \(folder)/\(DeploymentPlan.databaseSecret.name))"
      export PGPASSWORD
      password() {
        printf "ALTER ROLE %s PASSWORD '%s';\\n" "$1" "$(sed "s/'/''/g" "$2")"
      }
      {
        cat \(rights)/roles.sql
      \(passwords)} | psql -X -q -v ON_ERROR_STOP=1 "$REGPROC_DATABASE"

      """
  }
}
