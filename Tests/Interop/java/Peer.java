import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.interfaces.RSAKey;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import java.util.zip.ZipOutputStream;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;

/** The other side of envelopes and packets, with Java's own ciphers and zip streams: it shares nothing with the project's code. */
public final class Peer {
  static final byte[] HEADER = "VER_R2".getBytes(StandardCharsets.US_ASCII);
  static final byte[] SPLITTER = "#KEY_SPLITTER#".getBytes(StandardCharsets.US_ASCII);
  static final SecureRandom RANDOM = new SecureRandom();
  static final String RID = "10001100020000120240229235959";

  public static void main(String[] words) throws Exception {
    byte[] input = System.in.readAllBytes();
    byte[] output;
    switch (words[0]) {
      case "seal-envelope" -> output = sealEnvelope(input, certificate(words[1]));
      case "open-envelope" -> output = openEnvelope(input, key(words[1]));
      case "seal-body" -> output = sealBody(input, words[1], key(words[2]), certificate(words[3]));
      case "open-body" -> output = openBody(input, words[1], key(words[2]), certificate(words[3]).getPublicKey());
      case "write-packet" -> output = writePacket(input, key(words[1]), certificate(words[2]));
      case "read-packet" -> output = readPacket(input, key(words[1]), certificate(words[2]).getPublicKey());
      default -> throw new IllegalArgumentException(words[0]);
    }
    System.out.write(output);
    System.out.flush();
  }

  static Cipher rsa(int mode, java.security.Key key) throws Exception {
    Cipher cipher = Cipher.getInstance("RSA/ECB/OAEPWITHSHA-256ANDMGF1PADDING");
    OAEPParameterSpec explicit =
        new OAEPParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, PSource.PSpecified.DEFAULT);
    cipher.init(mode, key, explicit);
    return cipher;
  }

  static byte[] gcm(int mode, byte[] key, byte[] nonce, byte[] aad, byte[] text) throws Exception {
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
    cipher.init(mode, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, nonce));
    cipher.updateAAD(aad);
    return cipher.doFinal(text);
  }

  static byte[] sealEnvelope(byte[] plaintext, X509Certificate certificate) throws Exception {
    byte[] key = random(32);
    byte[] aad = random(32);
    return join(
        HEADER, random(32), rsa(Cipher.ENCRYPT_MODE, certificate.getPublicKey()).doFinal(key), SPLITTER, aad,
        gcm(Cipher.ENCRYPT_MODE, key, Arrays.copyOf(aad, 12), aad, plaintext));
  }

  static byte[] openEnvelope(byte[] blob, PrivateKey privateKey) throws Exception {
    if (!Arrays.equals(Arrays.copyOf(blob, 6), HEADER)) throw new IllegalStateException("no header");
    int splitter = find(blob, SPLITTER, 38);
    byte[] key = rsa(Cipher.DECRYPT_MODE, privateKey).doFinal(Arrays.copyOfRange(blob, 38, splitter));
    int at = splitter + SPLITTER.length;
    byte[] aad = Arrays.copyOfRange(blob, at, at + 32);
    byte[] rest = Arrays.copyOfRange(blob, at + 32, blob.length);
    return gcm(Cipher.DECRYPT_MODE, key, Arrays.copyOf(aad, 12), aad, rest);
  }

  static byte[] sealBody(byte[] plaintext, String way, PrivateKey sender, X509Certificate recipient) throws Exception {
    boolean toMosip = way.equals("crvs-to-mosip");
    byte[] data = sealEnvelope(plaintext, recipient);
    byte[] signature = sign("SHA512withRSA", sender, toMosip ? data : plaintext);
    Base64.Encoder base64 = toMosip ? Base64.getEncoder() : Base64.getUrlEncoder().withoutPadding();
    String body = "{\"id\":\"" + (toMosip ? "composition-1" : "") + "\",\"requestTime\":\"\",\"data\":\""
        + base64.encodeToString(data) + "\",\"signature\":\"" + base64.encodeToString(signature) + "\"}";
    return body.getBytes(StandardCharsets.UTF_8);
  }

  static byte[] openBody(byte[] body, String way, PrivateKey recipient, PublicKey sender) throws Exception {
    boolean toMosip = way.equals("crvs-to-mosip");
    String text = new String(body, StandardCharsets.UTF_8);
    // The decoders that each direction's receiver really has: neither takes the other alphabet.
    Base64.Decoder base64 = toMosip ? Base64.getDecoder() : Base64.getUrlDecoder();
    byte[] data = base64.decode(field(text, "data"));
    byte[] signature = base64.decode(field(text, "signature"));
    byte[] plaintext = openEnvelope(data, recipient);
    if (!verify("SHA512withRSA", sender, toMosip ? data : plaintext, signature)) throw new IllegalStateException("signature");
    return plaintext;
  }

  static byte[] sealPacket(byte[] plaintext, X509Certificate certificate) throws Exception {
    byte[] key = random(32);
    byte[] nonce = random(12);
    byte[] aad = random(32);
    return join(
        nonce, aad, sha256(certificate.getEncoded()), rsa(Cipher.ENCRYPT_MODE, certificate.getPublicKey()).doFinal(key),
        SPLITTER, gcm(Cipher.ENCRYPT_MODE, key, nonce, aad, plaintext));
  }

  static byte[] openPacket(byte[] blob, PrivateKey privateKey) throws Exception {
    int size = (((RSAKey) privateKey).getModulus().bitLength() + 7) / 8;
    byte[] key = rsa(Cipher.DECRYPT_MODE, privateKey).doFinal(Arrays.copyOfRange(blob, 76, 76 + size));
    int at = 76 + size;
    if (find(blob, SPLITTER, at) != at) throw new IllegalStateException("splitter");
    return gcm(
        Cipher.DECRYPT_MODE, key, Arrays.copyOf(blob, 12), Arrays.copyOfRange(blob, 12, 44),
        Arrays.copyOfRange(blob, at + SPLITTER.length, blob.length));
  }

  static byte[] writePacket(byte[] document, PrivateKey signer, X509Certificate certificate) throws Exception {
    Map<String, byte[]> container = new LinkedHashMap<>();
    for (String name : List.of("evidence", "optional", "id")) {
      boolean isId = name.equals("id");
      Map<String, byte[]> files = new LinkedHashMap<>();
      byte[] identity = utf8(
          "{ \"identity\" : { \"IDSchemaVersion\":\"0.1\"" + (isId
              ? ", \"fullName\":[{\"language\":\"eng\",\"value\":\"Zoë Rao\"},{\"language\":\"ara\",\"value\":\"ليلى\"}],"
                  + "\"proofOfIdentity\":{\"value\":\"proofOfIdentity\",\"type\":\"DOC001\",\"format\":\"pdf\",\"refNumber\":null}"
              : "") + " } }");
      if (isId) files.put("proofOfIdentity.pdf", document);
      files.put("ID.json", identity);
      files.put("packet_data_hash.txt", utf8(hex(sha256(isId ? join(document, identity) : identity))));
      byte[] audit = utf8("[ {\"eventId\":\"JAVA\"} ]");
      if (isId) {
        files.put("audit.json", audit);
        files.put("packet_operations_hash.txt", utf8(hex(sha256(audit))));
      }
      files.put("packet_meta_info.json", utf8(
          "{ \"identity\" : { \"registrationId\":\"" + RID + "\",\"creationDate\":\"2024-02-29T23:59:59.123Z\","
              + "\"hashSequence1\":[{\"label\":\"demographicSequence\",\"value\":[" + (isId ? "\"proofOfIdentity\"," : "")
              + "\"ID\"]}]" + (isId ? ",\"hashSequence2\":[{\"label\":\"otherFiles\",\"value\":[\"audit\"]}]" : "") + " } }"));
      byte[] zip = zip(files);
      byte[] encrypted = sealPacket(zip, certificate);
      String path = "OPENCRVS/OPENCRVS_NEW/" + RID + "_" + name;
      Base64.Encoder base64 = Base64.getUrlEncoder().withoutPadding();
      container.put(path + ".zip", encrypted);
      container.put(path + ".json", utf8(
          "{\"id\":\"" + RID + "\",\"packetname\":\"" + RID + "_" + name + "\",\"source\":\"OPENCRVS\",\"process\":\"OPENCRVS_NEW\","
              + "\"refid\":\"10001_10002\",\"schemaversion\":\"0.1\",\"signature\":\""
              + base64.encodeToString(sign("SHA256withRSA", signer, zip)) + "\",\"encryptedhash\":\""
              + base64.encodeToString(sha256(encrypted)) + "\",\"providername\":\"PacketWriterImpl\",\"providerversion\":\"v1.0\","
              + "\"creationdate\":\"2024-02-29T23:59:59.123456Z\"}"));
    }
    return sealPacket(zip(container), certificate);
  }

  /** Names and hashes of all files, once encryption, signatures and hashes fit. */
  static byte[] readPacket(byte[] packet, PrivateKey privateKey, PublicKey signer) throws Exception {
    Map<String, byte[]> container = unzip(openPacket(packet, privateKey));
    StringBuilder out = new StringBuilder();
    for (Map.Entry<String, byte[]> entry : container.entrySet()) {
      if (!entry.getKey().endsWith(".zip")) continue;
      String path = entry.getKey().substring(0, entry.getKey().length() - 4);
      String about = new String(container.get(path + ".json"), StandardCharsets.UTF_8);
      Base64.Decoder base64 = Base64.getUrlDecoder();
      if (!Arrays.equals(base64.decode(field(about, "encryptedhash")), sha256(entry.getValue()))) {
        throw new IllegalStateException("encrypted hash of " + path);
      }
      byte[] zip = openPacket(entry.getValue(), privateKey);
      if (!verify("SHA256withRSA", signer, zip, base64.decode(field(about, "signature")))) {
        throw new IllegalStateException("signature of " + path);
      }
      Map<String, byte[]> files = unzip(zip);
      String meta = new String(files.get("packet_meta_info.json"), StandardCharsets.UTF_8);
      check(files, meta, "hashSequence1", "packet_data_hash.txt");
      if (path.endsWith("_id")) check(files, meta, "hashSequence2", "packet_operations_hash.txt");
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        out.append(path.substring(path.lastIndexOf('_') + 1)).append('/').append(file.getKey()).append(' ')
            .append(hex(sha256(file.getValue()))).append('\n');
      }
    }
    return utf8(out.toString());
  }

  static void check(Map<String, byte[]> files, String meta, String sequence, String hashFile) throws Exception {
    Matcher list = Pattern.compile("\"" + sequence + "\"\\s*:\\s*(\\[(?:[^\\[\\]]*\\[[^\\]]*\\])*[^\\]]*\\])").matcher(meta);
    if (!list.find()) throw new IllegalStateException("no " + sequence);
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    Matcher values = Pattern.compile("\"value\"\\s*:\\s*\\[([^\\]]*)\\]").matcher(list.group(1));
    while (values.find()) {
      Matcher name = Pattern.compile("\"([^\"]+)\"").matcher(values.group(1));
      while (name.find()) {
        for (Map.Entry<String, byte[]> file : files.entrySet()) {
          if (file.getKey().replaceFirst("\\.[^.]*$", "").equalsIgnoreCase(name.group(1))) {
            all.write(file.getValue());
            break;
          }
        }
      }
    }
    if (!hex(sha256(all.toByteArray())).equals(new String(files.get(hashFile), StandardCharsets.US_ASCII))) {
      throw new IllegalStateException(hashFile);
    }
  }

  static byte[] zip(Map<String, byte[]> files) throws Exception {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(out)) {
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        zip.putNextEntry(new ZipEntry(file.getKey()));
        zip.write(file.getValue());
        zip.closeEntry();
      }
    }
    return out.toByteArray();
  }

  static Map<String, byte[]> unzip(byte[] bytes) throws Exception {
    Map<String, byte[]> files = new LinkedHashMap<>();
    try (ZipInputStream zip = new ZipInputStream(new ByteArrayInputStream(bytes))) {
      for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
        files.put(entry.getName(), zip.readAllBytes());
      }
    }
    return files;
  }

  static byte[] sign(String algorithm, PrivateKey key, byte[] bytes) throws Exception {
    Signature signature = Signature.getInstance(algorithm);
    signature.initSign(key);
    signature.update(bytes);
    return signature.sign();
  }

  static boolean verify(String algorithm, PublicKey key, byte[] bytes, byte[] value) throws Exception {
    Signature signature = Signature.getInstance(algorithm);
    signature.initVerify(key);
    signature.update(bytes);
    return signature.verify(value);
  }

  static PrivateKey key(String path) throws Exception {
    String text = Files.readString(Path.of(path)).replaceAll("-----[A-Z ]+-----|\\s", "");
    return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(text)));
  }

  static X509Certificate certificate(String path) throws Exception {
    return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(Files.newInputStream(Path.of(path)));
  }

  static String field(String json, String name) {
    Matcher found = Pattern.compile("\"" + name + "\"\\s*:\\s*\"([^\"]*)\"").matcher(json);
    if (!found.find()) throw new IllegalStateException("no " + name);
    return found.group(1);
  }

  static int find(byte[] bytes, byte[] what, int from) {
    for (int at = from; at + what.length <= bytes.length; at++) {
      if (Arrays.equals(bytes, at, at + what.length, what, 0, what.length)) return at;
    }
    throw new IllegalStateException("splitter");
  }

  static byte[] join(byte[]... parts) {
    ByteBuffer out = ByteBuffer.allocate(Arrays.stream(parts).mapToInt(part -> part.length).sum());
    for (byte[] part : parts) out.put(part);
    return out.array();
  }

  static byte[] random(int count) {
    byte[] out = new byte[count];
    RANDOM.nextBytes(out);
    return out;
  }

  static byte[] sha256(byte[] bytes) throws Exception {
    return MessageDigest.getInstance("SHA-256").digest(bytes);
  }

  static String hex(byte[] bytes) {
    StringBuilder out = new StringBuilder();
    for (byte each : bytes) out.append(String.format("%02X", each));
    return out.toString();
  }

  static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
