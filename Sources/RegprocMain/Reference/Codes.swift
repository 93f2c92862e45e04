/// A code that regproc gives, or understands when a service of MOSIP gives it.
struct CodeMeaning: Sendable {
  let code: String
  let meaning: String
  /// What a person can do.
  let remedy: String

  init(_ code: String, _ meaning: String, _ remedy: String) {
    self.code = code
    self.meaning = meaning
    self.remedy = remedy
  }
}

/// Codes that belong together.
struct CodeFamily: Sendable {
  let title: String
  /// Who gives them and where they are seen.
  let intro: String
  let codes: [CodeMeaning]

  /// All codes. A test holds the list against the sources: every code in them is here, and every one here is in them.
  static let all: [CodeFamily] = [
    verdictsOfStages, theEngine, announcingAndUploadingPackets, workflowsAndTransactions, tokensOfCallers, eventsOfOpencrvs,
    keysObjectsAndTheHub, identitiesAndPackets, numbers, callsToMosipsServices, audits,
  ]

  private static let verdictsOfStages = CodeFamily(
    title: "Verdicts of stages",
    intro: "What a stage says of a message: the sub status in the journal and in `regproc journey`.",
    codes: [
      CodeMeaning("RPR-PKR-SUCCESS-002", "packet receiver: the packet is kept in the landing zone", "-"),
      CodeMeaning(
        "RPR-PKR-FAILED-001", "packet receiver: a virus was found; the registration ends",
        "have the packet made anew on a clean machine"),
      CodeMeaning(
        "RPR-SEN-SUCCESS-001", "securezone notification: taken, or rejected as a second packet for one request for information", "-"
      ),
      CodeMeaning("RPR-PKU-SUCCESS-001", "packet uploader: the packet is in the packet store", "-"),
      CodeMeaning("RPR-PKU-SUCCESS-008", "packet uploader: it was there already", "-"),
      CodeMeaning(
        "RPR-PKU-FAILED-004", "packet uploader: the packet is in neither the landing zone nor the packet store",
        "it was removed `keep.failed-packets` days after its registration failed, or somebody deleted it: put it back into the landing zone and "
          + "`regproc replay`, or have the person registered under a new RID"),
      CodeMeaning(
        "RPR-PKU-FAILED-005", "packet uploader: the packet is not the one that was announced: another hash", "have it sent again"),
      CodeMeaning(
        "RPR-PKU-FAILED-006", "packet uploader: a virus was found inside the encrypted packet",
        "have the packet made anew on a clean machine"),
      CodeMeaning(
        "RPR-PKU-FAILED-009", "packet uploader: the client sent the packet again more often than is allowed",
        "look why the packet does not get through"),
      CodeMeaning(
        "RPR-PKR-FAILED-002", "packet uploader: the packet cannot be decrypted",
        "look at the key of the center and machine that made it"),
      CodeMeaning("RPR-PKV-SUCCESS-001", "packet validator: the packet is good", "-"),
      CodeMeaning(
        "RPR-PKV-FAILED-005", "packet validator: a document or capture that the identity names is missing",
        "have the packet made anew"),
      CodeMeaning(
        "RPR-PKV-FAILED-006", "packet validator: a language or value is not in the master data",
        "correct the value or the master data"),
      CodeMeaning("RPR-PKV-FAILED-008", "packet validator: nobody has the UIN that the packet names", "look whose number it is"),
      CodeMeaning("RPR-PKV-FAILED-011", "packet validator: the supervisor rejected it", "nothing: a person decided"),
      CodeMeaning(
        "RPR-PKV-FAILED-012",
        "packet validator: signature, hashes, files, metadata or id schema do not fit; the first fault is in the text",
        "correct what makes the packets"),
      CodeMeaning(
        "RPR-PKV-FAILED-014", "the packet manager has a trouble of its own; its code is in the text", "nothing: it is tried again"),
      CodeMeaning(
        "RPR-PKV-FAILED-015", "packet validator: a CBEFF file breaks MOSIP's rules", "look at the registration device's software"),
      CodeMeaning(
        "RPR-PKV-FAILED-016", "packet validator: a capture is not signed by its device", "look at the registration device"),
      CodeMeaning("RPR-PKV-FAILED-017", "packet validator: the person did not consent", "nothing: a person decided"),
      CodeMeaning(
        "RPR-PKV-FAILED-018", "the packet cannot be trusted: its seal, signature or hash is wrong", "look who made or changed it"),
      CodeMeaning("RPR-PKCSUCCESS-001", "packet classifier: the tags are set (upstream's spelling)", "-"),
      CodeMeaning(
        "RPR-IVM-SUCCESS-001", "introducer validator: the introducer is good; the text says when no captures were compared", "-"),
      CodeMeaning("RPR-IVM-SUCCESS-002", "introducer validator: the packet names none", "-"),
      CodeMeaning(
        "RPR-IVM-FAILED-001", "introducer validator: the introducer's identity is not active, or the captures differ",
        "another introducer, or a registration center"),
      CodeMeaning("RPR-IVM-FAILED-003", "introducer validator: nobody has the UIN or RID that is named", "look whose number it is"),
      CodeMeaning(
        "RPR-IVM-FAILED-004", "introducer validator: captures are demanded and there are none",
        "have the packet made anew with them"),
      CodeMeaning(
        "RPR-IVM-FAILED-005", "introducer validator: the introducer's own registration is not through", "nothing: it is tried again"
      ),
      CodeMeaning(
        "RPR-IVM-FAILED-006", "introducer validator: the introducer's own registration was rejected or failed", "another introducer"
      ),
      CodeMeaning("RPR-UIN-SUCCESS-001", "UIN generator: a UIN is drafted", "-"),
      CodeMeaning("RPR-UIN-SUCCESS-002", "UIN generator: the identity is updated", "-"),
      CodeMeaning("RPR-UIN-SUCCESS-003", "UIN generator: the identity is activated", "-"),
      CodeMeaning("RPR-UIN-SUCCESS-004", "UIN generator: the identity is deactivated", "-"),
      CodeMeaning("RPR-UIN-FAILED-001", "UIN generator: the identity is active already", "-"),
      CodeMeaning("RPR-UIN-FAILED-003", "UIN generator: the identity is deactivated already", "-"),
      CodeMeaning(
        "RPR-UIN-FAILED-004", "UIN generator: a packet of a process that makes UINs has one already", "send it as an update"),
      CodeMeaning(
        "RPR-UIN-FAILED-008", "UIN generator: the id repository refuses, or nobody has the UIN; its code is in the text",
        "by the code in the text"),
      CodeMeaning(
        "RPR-UIN-FAILED-009", "UIN generator: the id repository's key manager is out of reach", "nothing: it is tried again"),
      CodeMeaning("RPR-FIN-SUCCESS-001", "finalization: the draft is published", "-"),
      CodeMeaning("RPR-FIN-FAILED-002", "finalization: there is no draft of the RID", "run it again from the UIN generator"),
      CodeMeaning(
        "RPR-FIN-FAILED-003", "finalization: the id repository refuses the draft; its code is in the text",
        "by the code in the text"),
      CodeMeaning(
        "RPR-FIN-FAILED-004", "finalization: the id repository's key manager is out of reach", "nothing: it is tried again"),
      CodeMeaning("RPR-PPS-FAILED-010", "print and opencrvs: the RID has no UIN", "run it again from the UIN generator"),
      CodeMeaning(
        "RPR-SYS-EXCEPTION-001", "an error without a code of its own; what happened is in the text",
        "by the text; `regproc replay` when it is mended"),
      CodeMeaning("RPR-RPS-SUCCESS-001", "reprocessor: sent to the stage again, or on its way behind it", "-"),
      CodeMeaning("RPR-RPS-SUCCESS-002", "reprocessor: begun again from an earlier stage", "-"),
      CodeMeaning(
        "RPR-RPS-FAILED-001", "tries are used up: the message is a dead letter",
        "look at the dead letter; `regproc dead-letters replay`"),
      CodeMeaning("RPR-WAS-001", "a pause is over, or a person ended it: it goes on, begins again, or is rejected", "-"),
    ])

  private static let theEngine = CodeFamily(
    title: "The engine",
    intro: "What becomes a dead letter, and what operators and stages are told by the engine.",
    codes: [
      CodeMeaning("RPR-MSG-001", "a record on a stage's topic is no message", "look at the dead letter and at who sends it"),
      CodeMeaning(
        "RPR-MSG-002", "a message or its verdict has what Postgres cannot hold (the character NUL)",
        "look at the dead letter and at who sends it"),
      CodeMeaning(
        "RPR-BUS-001", "the broker takes no message so large", "raise `max.message.bytes` of the topic, then `regproc replay`"),
      CodeMeaning(
        "RPR-BUS-002", "the broker refuses a record of the bridge; the reason is in the text",
        "mend it, then `regproc dead-letters replay`"),
      CodeMeaning(
        "RPR-TOP-001", "a stage could not take a record of a further topic, and its tries are used up",
        "mend it, then `regproc dead-letters replay`"),
      CodeMeaning("RPR-RTE-001", "the route file has no way for the message", "add one, then `regproc replay`"),
      CodeMeaning("RPR-RTE-002", "a stage is named that this process does not know", "look at the folder of stages"),
      CodeMeaning(
        "RPR-RTE-003", "the version of the route file that a pinned flow began with cannot be read",
        "`regproc replay`, which goes by the version in force"),
      CodeMeaning("RPR-RTE-004", "a message of another process than its topic's", "look at who writes the topic"),
      CodeMeaning(
        "RPR-SPL-001",
        "a request can be kept neither in the database nor in the spool: the disk or the spool is full, or cannot be written",
        "make room on the disk of the data folder, or raise spool.limit-mib; senders are cut off and try again meanwhile"),
      CodeMeaning(
        "RPR-SPL-002",
        "a request of the spool does not open: it was damaged, changed, renamed, or sealed with another `spool.secret`",
        "with the right key back in the folder `regproc spool retry`; otherwise have the sender send it again"),
      CodeMeaning(
        "RPR-SPL-003", "a request of the spool could not be taken, by an error without a code of its own",
        "read the log; `regproc spool retry` when the cause is gone"),
      CodeMeaning(
        "RPR-OBX-001", "a stage would publish a record above the broker's limit",
        "report it: large data belongs in the object store"),
      CodeMeaning("RPR-JRN-001", "a hop in the journal cannot be read", "look who changed the database"),
      CodeMeaning("RPR-PIP-001", "the entrance is asked for something that it does not do", "report it"),
      CodeMeaning("RPR-STAGE-001", "a stage that takes no messages was given one", "look at the route file"),
      CodeMeaning(
        "RPR-WIA-002", "the end of a registration is told without rid or process, or with a result that is no end", "report it"),
      CodeMeaning("RPR-WAS-002", "the order to end a pause cannot be read", "`regproc waiting resume`"),
      CodeMeaning(
        "RPR-SYS-012", "the database or the landing zone is out of reach, or refuses",
        "look at Postgres or the disk; it is tried again"),
      CodeMeaning("RPR-OPS-001", "an operator ended the piece of work (`regproc work give-up`)", "nothing: a person decided"),
      CodeMeaning(
        "RPR-OPS-002", "an operator holds the intake: nothing new is taken (503)", "send it again later; `regproc resume`"),
      CodeMeaning("RPR-TRY-001", "`stages try`: there is no such stage", "`regproc stages list`"),
      CodeMeaning("RPR-TRY-002", "`stages try`: the stage takes no messages", "try a stage that does"),
      CodeMeaning("RPR-TRY-003", "`stages try`: the file is no message: not JSON, no `rid`, no `reg_type` ...", "correct the file"),
      CodeMeaning(
        "RPR-TRY-004", "`stages try`: no flow of the message's process, or the flow has not the stage",
        "correct the message or the route file"),
      CodeMeaning(
        "RPR-TRY-005", "`stages try`: what follows depends on an answer that cannot be made up", "nothing: the try ends there"),
      CodeMeaning(
        "RPR-TRY-006", "`stages try`: the stage reads what is in the database, and there is none", "give `--database`, or start it"),
      CodeMeaning("RPR-TRY-007", "`stages try`: the data folder has no keys", "name the data folder of the stages"),
    ])

  private static let announcingAndUploadingPackets = CodeFamily(
    title: "Announcing and uploading packets",
    intro:
      "Answers of the packet receiver's endpoints. What is announced is checked in the order of [validation](../validation.md).",
    codes: [
      CodeMeaning(
        "RPR-RGS-003", "`registrationType` is of no process that is taken",
        "correct the request, or `main-processes` and `sub-processes`"),
      CodeMeaning("RPR-RGS-004", "`langCode` has not three letters", "correct the request"),
      CodeMeaning("RPR-RGS-006", "`registrationId` is missing", "correct the request"),
      CodeMeaning("RPR-RGS-007", "the moment in the RID is none", "correct the request"),
      CodeMeaning("RPR-RGS-008", "the RID has characters that it may not have", "correct the request"),
      CodeMeaning("RPR-RGS-009", "the RID has a wrong length", "correct the request"),
      CodeMeaning("RPR-RGS-013", "something that must be there is missing; the text names it", "correct the request"),
      CodeMeaning(
        "RPR-RGS-014", "something is wrong: header, id, version, time, size, packet id; the text names it",
        "correct the request, or the client's clock"),
      CodeMeaning("RPR-RGS-016", "the body is no JSON, before or after decryption", "correct the request"),
      CodeMeaning("RPR-RGS-017", "the body is JSON of another shape", "correct the request"),
      CodeMeaning("RPR-RGS-026", "`supervisorStatus` is neither APPROVED nor REJECTED", "correct the request"),
      CodeMeaning("RPR-RGS-027", "`packetHashValue` is missing", "correct the request"),
      CodeMeaning(
        "RPR-RGS-028", "the body cannot be decrypted with the key of `Center-Machine-RefId`", "look at the machine's key"),
      CodeMeaning("RPR-RGS-031", "nothing was announced under the id", "announce it, or look for the right id"),
      CodeMeaning(
        "RPR-RGS-032", "the search for lost RIDs finds too much, or goes by what is not kept", "search by day and center"),
      CodeMeaning("RPR-RGS-033", "a search can be sorted by one field", "correct the request"),
      CodeMeaning("RPR-RGS-034", "the days of the search are too far apart", "correct the request"),
      CodeMeaning("RPR-PKR-001", "the packet was not announced", "announce it first"),
      CodeMeaning("RPR-PKR-002", "larger than `max-file-size`", "look at the packet, or at the setting"),
      CodeMeaning("RPR-PKR-003", "the file's name does not end as `extension` says", "correct the request"),
      CodeMeaning(
        "RPR-PKR-004", "known from MOSIP's packet receiver, whose refusal is final; ours never says it", "correct the packet"),
      CodeMeaning("RPR-PKR-005", "the packet is here already", "-"),
      CodeMeaning("RPR-PKR-006", "the request has no file", "correct the request"),
      CodeMeaning("RPR-PKR-007", "landing zone or database are out of reach; the error says which", "send it again later"),
      CodeMeaning(
        "RPR-PKR-008", "the virus scanner does not answer, or takes no stream so long", "look at ClamAV; send it again later"),
      CodeMeaning("RPR-PKR-009", "another checksum than announced", "send the packet that was announced"),
      CodeMeaning("RPR-PKR-010", "a virus was found", "have the packet made anew on a clean machine"),
      CodeMeaning(
        "RPR-PKR-011", "known from MOSIP's packet receiver: a service that it needs is away; ours never says it",
        "it is sent again later"),
      CodeMeaning("RPR-PKR-012", "the database is out of reach", "send it again later"),
      CodeMeaning("RPR-PKR-013", "another size than announced", "send the packet that was announced"),
      CodeMeaning(
        "RPR-PKR-014", "known from MOSIP's packet receiver, whose refusal is final; ours never says it", "correct the packet"),
      CodeMeaning(
        "RPR-PKR-015", "known from MOSIP's packet receiver, whose refusal is final; ours never says it", "correct the packet"),
      CodeMeaning(
        "RPR-PKR-016", "a correction or an answer to a request for information, and nobody asked", "look for the request's id"),
    ])

  private static let workflowsAndTransactions = CodeFamily(
    title: "Workflows and transactions",
    intro: "Answers of the workflow manager's endpoints.",
    codes: [
      CodeMeaning("RPR-RTS-001", "there is no registration of the RID", "look for the right number"),
      CodeMeaning("RPR-RTS-003", "the RID has characters that none has", "correct the request"),
      CodeMeaning("RPR-RTS-004", "`langCode` has not three letters", "correct the request"),
      CodeMeaning("RPR-WAA-000", "search or action: something is missing; the text names it", "correct the request"),
      CodeMeaning("RPR-WAA-001", "search or action: something is wrong; the text names it", "correct the request"),
      CodeMeaning("RPR-WAA-002", "search or action: the body is no JSON object", "correct the request"),
      CodeMeaning("RPR-WAA-003", "there is no such workflow", "look for the right number"),
      CodeMeaning(
        "RPR-WAA-004", "the workflow is not paused, waits for a packet, or has another action already", "`regproc journey RID`"),
      CodeMeaning("RPR-WAS-000", "the action is none that is known", "correct the request"),
      CodeMeaning("RPR-WAS-003", "another program paused it", "ask that one's workflow manager"),
      CodeMeaning("RPR-WIN-000", "instance: something is missing; the text names it", "correct the request"),
      CodeMeaning(
        "RPR-WIN-001", "instance: something is wrong, or the process has no flow", "correct the request, or the route file"),
      CodeMeaning("RPR-WIN-002", "instance: the body is no JSON object", "correct the request"),
      CodeMeaning("RPR-WIS-000", "the flow has no stage at which instances begin", "look at `beginning-stage` and the route file"),
      CodeMeaning("RPR-WIS-001", "there is such an instance already", "-"),
    ])

  private static let tokensOfCallers = CodeFamily(
    title: "Tokens of callers",
    intro: "Answers of every endpoint that asks for a token.",
    codes: [
      CodeMeaning("KER-ATH-401", "no token, or one that is not valid here", "a new token; look at the issuer and the clocks"),
      CodeMeaning(
        "KER-ATH-403", "the token has not the role or the client that the endpoint asks for", "[who may call](endpoints.md)"),
      CodeMeaning("KER-ATH-003", "the token cannot be checked now: what that needs is out of reach", "call again later"),
    ])

  private static let eventsOfOpencrvs = CodeFamily(
    title: "Events of OpenCRVS",
    intro:
      "What the mediators answer, and what OpenCRVS is told of an event. [Scenarios](../scenarios.md) says how each kind of event ends.",
    codes: [
      CodeMeaning(
        "OPN-AUT-001", "no token can be had from the other side's auth service", "look at client and secret; it is tried again"),
      CodeMeaning("OPN-AUT-002", "a token or signature is not valid here", "look at the secrets of the two sides"),
      CodeMeaning("OPN-AUT-003", "there is no token", "send one"),
      CodeMeaning("OPN-AUT-004", "the token has not the role or the client", "look at the partner's role"),
      CodeMeaning(
        "OPN-SUB-001", "no subscription can be made: URL or secret are not set, or it was refused",
        "look at the mediator's settings"),
      CodeMeaning("OPN-CRVS-001", "unreadable: no JSON, no number, topic unknown", "the sender must correct it"),
      CodeMeaning("OPN-CRVS-002", "the packet could not be made", "look for the AID in the log"),
      CodeMeaning("OPN-CRVS-003", "the key manager makes no token of the UIN", "look at the key manager"),
      CodeMeaning("OPN-CRVS-004", "a service is away", "nothing: it is tried again"),
      CodeMeaning("OPN-CRVS-005", "no application id can be had", "nothing: it is tried again"),
      CodeMeaning(
        "OPN-CRVS-006", "no identity can be made: name or date missing, a date of the future, `strict`", "correct the record"),
      CodeMeaning("OPN-CRVS-007", "reserved: no verification possible now; nothing sends it", "-"),
      CodeMeaning("OPN-CRVS-008", "name, date of birth or gender are not the identity's", "look whose number it is"),
      CodeMeaning(
        "OPN-CRVS-009", "policy: held, too late, too often, biometrics", "release it, or settle it at a registration center"),
      CodeMeaning("OPN-CRVS-010", "an error without a code of its own", "look for the AID in the log"),
      CodeMeaning(
        "OPN-CRVS-011", "the packet could not be announced or uploaded; the receiver's code is in the text",
        "by the code in the text"),
      CodeMeaning(
        "OPN-CRVS-015", "other content under the same key, or the number of another record, which is named",
        "send a correction instead; look whose number it is"),
      CodeMeaning("OPN-CRVS-016", "certificates: kept, no way", "-"),
      CodeMeaning(
        "OPN-CRVS-017", "BLOCKED, no death to reverse, two people, or too little to compare", "look at record and identity"),
      CodeMeaning("OPN-CRVS-018", "the id repository refuses a change; its code is in the text", "registration center"),
      CodeMeaning("OPN-CRVS-019", "no result within `answer-within`; a later one is told all the same", "`regproc journey NUMBER`"),
      CodeMeaning("OPN-CRVS-022", "not decrypted: sealed for another key, or changed", "look at the keys of the mediators"),
      CodeMeaning("OPN-CRVS-026", "the signature is not the sender's", "look at the keys of the mediators"),
      CodeMeaning("OPN-CRVS-028", "UIN or VID is none, or nobody has it", "look for the right number"),
      CodeMeaning("OPN-CRVS-029", "no UIN, VID or token, and nothing kept leads to one", "look for the number"),
      CodeMeaning("OPN-CRVS-030", "the id repository refuses the deactivation; its code is in the text", "by the code in the text"),
      CodeMeaning("OPN-CRVS-031", "the RID is unreadable", "look at who gives RIDs"),
      CodeMeaning("OPN-CRVS-032", "the place is unknown", "look at `locations-url`"),
      CodeMeaning("OPN-CRVS-033", "the text is not UTF-8", "the sender must correct it"),
      CodeMeaning("OPN-CRVS-034", "nothing is at this path", "the sender must correct it"),
      CodeMeaning(
        "OPN-CRVS-035", "an event has more than 50 MiB, or a sealed body or a result more than its endpoint takes",
        "take large images out of the record; OpenCRVS does not send the event again by itself"),
      CodeMeaning(
        "OPN-CRVS-036",
        "OpenCRVS waits for an answer that can reach it no more: its token is over, or OpenCRVS takes no answer to it",
        "have the record put right at OpenCRVS, where it waits in external validation"),
      CodeMeaning("PACKET_FAILED", "the registration ended as failed, and no code says why", "`regproc journey NUMBER`"),
      CodeMeaning("PACKET_REJECTED", "the registration ended as rejected, and no code says why", "`regproc journey NUMBER`"),
    ])

  private static let keysObjectsAndTheHub = CodeFamily(
    title: "Keys, objects and the hub",
    intro: "What the embedded platform services say; OBJ of both object stores, HUB also of MOSIP's hub.",
    codes: [
      CodeMeaning("RPR-KEY-001", "the key folder cannot be made", "look at the rights of the data folder, and at the disk"),
      CodeMeaning("RPR-KEY-002", "a key file cannot be read or written", "look at the rights of the data folder, and at the disk"),
      CodeMeaning(
        "RPR-KEY-003", "a private key is asked for of which only a partner's certificate is here",
        "look at the names of keys in the settings"),
      CodeMeaning("RPR-KEY-004", "a secret is not 32 bytes long", "put the right file back from the backup"),
      CodeMeaning(
        "RPR-KEY-005", "the keys in the folder are not those of the database",
        "use the data folder that belongs to the database ([keys](../keys.md))"),
      CodeMeaning("RPR-KEY-006", "a sealing key is not in the folder", "put it back from the backup"),
      CodeMeaning("RPR-KEY-007", "a sealed value was changed, or sealed for another place", "look who changed the database"),
      CodeMeaning("RPR-KEY-008", "another rotation of keys is at work", "wait for it"),
      CodeMeaning("RPR-KEY-009", "values do not open during a rotation, and stay as they are", "find their key; then rotate again"),
      CodeMeaning(
        "RPR-KEY-010", "an imported certificate would take the place of a key or of another certificate",
        "another name, or `--replace`"),
      CodeMeaning("RPR-KEY-011", "a partner's certificate is not here yet", "`regproc keys import NAME FILE`; it is tried again"),
      CodeMeaning(
        "RPR-KEY-012", "whether the keys fit cannot be said: the database is of an earlier version, and this role may not look",
        "start a process of MOSIP's side first"),
      CodeMeaning("RPR-KEY-013", "a key is not here, and who only looks makes none", "start the stage itself once"),
      CodeMeaning(
        "RPR-ENV-001", "an envelope does not open: it is for another key, or was changed", "look at the keys of both sides"),
      CodeMeaning("RPR-OBJ-001", "the object store is out of reach", "look at it; it is tried again"),
      CodeMeaning("RPR-OBJ-002", "the object store refuses: a name that cannot be, or another final answer", "by the text"),
      CodeMeaning("RPR-OBJ-003", "the metadata of an object cannot be read", "look who changed the folder"),
      CodeMeaning("RPR-OBJ-004", "metadata that the object store cannot keep", "report it"),
      CodeMeaning("RPR-OBJ-005", "the object store's key is not taken (401, 403)", "look at the S3 settings"),
      CodeMeaning("RPR-OBJ-006", "metadata of an object that is not there", "look who deleted it"),
      CodeMeaning("RPR-HUB-001", "the callback of a subscription cannot be reached", "look at the subscriber; it is tried again"),
      CodeMeaning(
        "RPR-HUB-002", "a subscription was not confirmed, or was denied", "look at the subscriber, or at the hub's answer"),
      CodeMeaning(
        "RPR-HUB-003", "a subscriber refused a delivery for too long: it is a dead letter",
        "mend it, then `regproc dead-letters replay`"),
      CodeMeaning("RPR-HUB-004", "the subscription is another client's", "subscribe to a callback of your own"),
      CodeMeaning(
        "RPR-HUB-005", "a subscriber gives no answer for too long: its subscription is suspended",
        "mend it; it goes on when it subscribes again, or by `regproc held release subscription-N`"),
      CodeMeaning("RPR-CBEFF-001", "a CBEFF file with captures cannot be read", "have it made anew"),
      CodeMeaning(
        "RPR-NTF-001", "a message is to be sent and there is no notifier", "platform `mosip`, or no messages in the settings"),
    ])

  private static let identitiesAndPackets = CodeFamily(
    title: "Identities and packets",
    intro: "Codes of MOSIP's services that the embedded ones give too, and what regproc makes of them when MOSIP's own give them.",
    codes: [
      CodeMeaning("IDR-IDC-001", "a field of the identity is missing", "correct the record; `identity.mandatory-fields`"),
      CodeMeaning(
        "IDR-IDC-002", "a field or value is not taken by the id schema; about `requesttime`: the clocks differ",
        "correct the record, or the clock"),
      CodeMeaning("IDR-IDC-004", "trouble of the id repository", "nothing: it is tried again"),
      CodeMeaning("IDR-IDC-006", "the id repository's database is out of reach", "nothing: it is tried again"),
      CodeMeaning("IDR-IDC-007", "nobody has the UIN or RID", "look for the right number"),
      CodeMeaning("IDR-IDC-008", "trouble of the id repository", "nothing: it is tried again"),
      CodeMeaning("IDR-IDC-009", "trouble of the id repository", "nothing: it is tried again"),
      CodeMeaning("IDR-IDC-010", "trouble of the id repository", "nothing: it is tried again"),
      CodeMeaning("IDR-IDC-012", "the RID is bound to another identity or another change", "look at the RID's history"),
      CodeMeaning("IDR-IDC-013", "a field was changed as often as it may be", "registration center"),
      CodeMeaning("IDR-IDS-003", "the id repository's key manager is out of reach", "nothing: it is tried again"),
      CodeMeaning("IDR-IDS-004", "the id repository's object store is out of reach", "nothing: it is tried again"),
      CodeMeaning("IDR-IDS-007", "trouble of the id repository", "nothing: it is tried again"),
      CodeMeaning("IDR-IDS-008", "there is no id schema of the identity's version", "publish it; it is tried again"),
      CodeMeaning("IDR-IDS-010", "trouble of the id repository", "nothing: it is tried again"),
      CodeMeaning("IDR-IDS-011", "trouble of the id repository", "nothing: it is tried again"),
      CodeMeaning("IDR-VID-001", "the VID is not active, or has expired", "ask for another one"),
      CodeMeaning("IDR-VID-002", "trouble of the VID service", "nothing: it is tried again"),
      CodeMeaning("IDR-VID-004", "the UIN of the VID is not active", "look at the identity"),
      CodeMeaning("IDR-VID-005", "trouble of the VID service", "nothing: it is tried again"),
      CodeMeaning("IDR-VID-006", "the UIN has no VID", "nothing: one is made, or waited for"),
      CodeMeaning("IDR-CRG-001", "the request for a credential was not stored", "nothing: it is tried again"),
      CodeMeaning("IDR-CRG-002", "trouble of the credential service", "nothing: it is tried again"),
      CodeMeaning(
        "IDR-CRG-003", "type or issuer of a credential are missing; asked for a request: there is none",
        "look at the stage's settings"),
      CodeMeaning(
        "IDR-CRG-004", "there is no identity to make a credential of; of MOSIP's: trouble", "run it again behind finalization"),
      CodeMeaning("IDR-CRG-006", "trouble of the credential service", "nothing: it is tried again"),
      CodeMeaning("KER-PUT-019", "the packet cannot be trusted or read", "look who made or changed it"),
      CodeMeaning("KER-PUT-022", "the tag is there already", "-"),
      CodeMeaning("KER-PUT-024", "the packet has no such tag", "-"),
      CodeMeaning("KER-PUT-027", "the packet, or a part of it, is not in the packet store", "look who deleted it"),
      CodeMeaning("KER-IOV-004", "the identity breaks the id schema", "correct the record or the schema"),
      CodeMeaning("KER-IOV-005", "a mandatory field is missing", "correct the record"),
      CodeMeaning("KER-KPM-008", "a packet without audits cannot be written", "report it"),
      CodeMeaning("KER-SCH-001", "two id schemas have one version", "look at the folder of schemas"),
      CodeMeaning("KER-SCH-004", "trouble of the master data, about an id schema", "nothing: it is tried again"),
      CodeMeaning("KER-SCH-007", "there is no id schema of that version", "publish it"),
      CodeMeaning("KER-CRY-003", "the bytes are not encrypted, or for another key", "look at the keys"),
      CodeMeaning("KER-CRY-500", "trouble of the key manager", "nothing: it is tried again"),
      CodeMeaning("KER-CSM-500", "trouble of the key manager", "nothing: it is tried again"),
      CodeMeaning("KER-KMS-500", "trouble of the key manager", "nothing: it is tried again"),
      CodeMeaning("KER-SYN-006", "the key manager knows no such machine", "have the machine registered"),
      CodeMeaning("KER-MSD-001", "a file of master data cannot be read; the text says why", "correct the file"),
      CodeMeaning("KER-MSD-046", "there is no template of the message", "add it to the master data"),
      CodeMeaning("KER-MSD-999", "the master data refuse what was asked", "look at the stage's settings"),
      CodeMeaning("KER-NOE-500", "trouble of the notifier, with e-mail", "nothing: it is tried again"),
      CodeMeaning("KER-NOS-500", "trouble of the notifier, with SMS", "nothing: it is tried again"),
      CodeMeaning(
        "KER-UIG-001", "no UIN can be given: none is left by the filters, or they go faster than they are made",
        "look at the `uin.` settings"),
      CodeMeaning("KER-VID-001", "no VID can be given, likewise", "look at the `vid.` settings"),
      CodeMeaning("KER-RIG-002", "center or machine of a RID are missing", "look at the mediator's settings"),
      CodeMeaning("KER-RIG-003", "center or machine of a RID have not five digits", "look at the mediator's settings"),
      CodeMeaning("KER-RIG-500", "trouble of the RID generator", "nothing: it is tried again"),
    ])

  private static let numbers = CodeFamily(
    title: "Numbers",
    intro: "What is wrong with a UIN, a VID or a RID ([identifiers](../identifiers.md)); `regproc id check` says it.",
    codes: [
      CodeMeaning("KER-IDV-001", "VID: empty", "look for the right number"),
      CodeMeaning("KER-IDV-002", "VID: digits that a filter forbids", "look for the right number"),
      CodeMeaning("KER-IDV-003", "VID: wrong length", "look for the right number"),
      CodeMeaning("KER-IDV-004", "VID: not digits alone", "look for the right number"),
      CodeMeaning("KER-IDV-005", "VID: wrong check digit", "look for the right number"),
      CodeMeaning("KER-IDV-201", "UIN: empty", "look for the right number"),
      CodeMeaning("KER-IDV-202", "UIN: digits that a filter forbids", "look for the right number"),
      CodeMeaning("KER-IDV-203", "UIN: wrong length", "look for the right number"),
      CodeMeaning("KER-IDV-204", "UIN: not digits alone", "look for the right number"),
      CodeMeaning("KER-IDV-205", "UIN: wrong check digit", "look for the right number"),
      CodeMeaning("KER-IDV-206", "UIN: begins with 0 or 1", "look for the right number"),
      CodeMeaning("KER-IDV-207", "UIN: its first digits are its last ones backwards", "look for the right number"),
      CodeMeaning("KER-IDV-208", "UIN: its first digits are its last ones", "look for the right number"),
      CodeMeaning("KER-IDV-301", "RID: not digits alone", "look for the right number"),
      CodeMeaning("KER-IDV-302", "RID: of another center", "look for the right number"),
      CodeMeaning("KER-IDV-303", "RID: of another machine", "look for the right number"),
      CodeMeaning("KER-IDV-304", "RID: wrong length", "look for the right number"),
      CodeMeaning("KER-IDV-305", "RID: its moment is none", "look for the right number"),
      CodeMeaning("KER-IDV-307", "RID: its sequence is out of range", "look for the right number"),
    ])

  private static let callsToMosipsServices = CodeFamily(
    title: "Calls to MOSIP's services",
    intro:
      "What regproc says of a call that came to no answer of the service, and the codes of ID authentication that it knows. "
      + "How they are called is in [MOSIP's services](../mosip-services.md).",
    codes: [
      CodeMeaning(
        "RPR-SVC-001", "nobody listens, the name has no address, or there is no trusted TLS connection",
        "look at the URL and `http.trusted-ca`; it is tried again"),
      CodeMeaning("RPR-SVC-002", "no answer in time", "look at the service; it is tried again"),
      CodeMeaning("RPR-SVC-003", "the connection ended in the middle", "nothing: it is tried again"),
      CodeMeaning("RPR-SVC-004", "the service says that it is in trouble (5xx, 429)", "look at the service; it is tried again"),
      CodeMeaning(
        "RPR-SVC-005", "too many calls failed: the service is left alone for a while", "look at the service; it is tried again"),
      CodeMeaning("RPR-SVC-006", "the answer is not what the service answers", "look at the URL and at MOSIP's release"),
      CodeMeaning(
        "RPR-SVC-011", "there is no such endpoint at this address (404, 405)",
        "look at the service's URL, at the gateway before it, and at MOSIP's release; it is tried again"),
      CodeMeaning("RPR-SVC-007", "the answer is too large", "look at the URL"),
      CodeMeaning("RPR-SVC-008", "our token, or its role, is not taken", "look at our client's roles in the realm"),
      CodeMeaning("RPR-SVC-009", "no token can be had", "look at `mosip.client-id`, its secret and the realm"),
      CodeMeaning("RPR-SVC-010", "another HTTP status than the service answers", "look at the URL and at MOSIP's release"),
      CodeMeaning("IDA-BIA-001", "the captures are not those of the person", "see RPR-IVM-FAILED-001"),
      CodeMeaning("IDA-BIA-006", "ID authentication has no captures of the person", "nothing: they count as not comparable"),
      CodeMeaning("IDA-BIA-016", "trouble of ID authentication with captures", "nothing: it is tried again"),
      CodeMeaning("IDA-BIA-017", "trouble of ID authentication with captures", "nothing: it is tried again"),
      CodeMeaning("IDA-BIA-018", "trouble of ID authentication with captures", "nothing: it is tried again"),
      CodeMeaning(
        "IDA-MLC-001", "the request is too old or of the future there: the clocks differ", "set the clocks; it is tried again"),
      CodeMeaning("IDA-MLC-007", "ID authentication could not work on the request", "nothing: it is tried again"),
      CodeMeaning("IDA-MLC-018", "the UIN is not known there (yet)", "nothing: it is tried again"),
      CodeMeaning("IDA-MLC-019", "the person has locked authentication by captures", "nothing: they count as not comparable"),
      CodeMeaning("IDA-MLC-020", "trouble of ID authentication", "nothing: it is tried again"),
      CodeMeaning("IDA-MLC-021", "trouble of ID authentication", "nothing: it is tried again"),
      CodeMeaning(
        "IDA-MPA-003", "the request could not be decrypted there: the key was changed", "nothing: the certificate is read again"),
      CodeMeaning("IDA-MPA-004", "the key has expired", "nothing: the certificate is read again"),
      CodeMeaning("IDA-RST-006", "trouble of ID authentication", "nothing: it is tried again"),
      CodeMeaning("IDA-RST-007", "trouble of ID authentication", "nothing: it is tried again"),
      CodeMeaning("IDA-RST-008", "trouble of ID authentication", "nothing: it is tried again"),
    ])

  private static let audits = CodeFamily(
    title: "Audits",
    intro: "Ids of entries in the audit trail, which are no errors.",
    codes: [
      CodeMeaning("RPR_401", "something was read or taken", "-"),
      CodeMeaning("RPR_402", "something was changed", "-"),
      CodeMeaning("RPR_405", "something was asked for and not done", "-"),
    ])
}
