#!/usr/bin/env python3
"""Makes the vectors that the tests of Cryptography and Registration hold, with code that shares nothing with ours.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install cryptography
    /tmp/venv/bin/python Tests/Vectors/make-vectors.py

It writes VectorKeys.swift, Vectors.swift and PacketVectors.swift below Tests/. The keys are made here, for this purpose
alone; a new run makes new ones.
"""

import base64
import datetime
import hashlib
import hmac
import io
import json
import os
import pathlib
import urllib.parse
import zipfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

TESTS = pathlib.Path(__file__).resolve().parent.parent


def b64(data):
    return base64.b64encode(data).decode()


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def make_key(bits):
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def make_certificate(key, name):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2024, 1, 1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .sign(key, hashes.SHA256())
    )


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def oaep(mgf_hash):
    return padding.OAEP(mgf=padding.MGF1(mgf_hash), algorithm=hashes.SHA256(), label=None)


def sign(key, data, algorithm):
    return key.sign(data, padding.PKCS1v15(), algorithm)


def envelope(certificate, key, plaintext, thumbprint=None):
    """The VER_R2 blob."""
    aes = os.urandom(32)
    aad = os.urandom(32)
    wrapped = key.public_key().encrypt(aes, oaep(hashes.SHA256()))
    if thumbprint is None:
        thumbprint = hashlib.sha256(der(certificate)).digest()
    return b"VER_R2" + thumbprint + wrapped + b"#KEY_SPLITTER#" + aad + AESGCM(aes).encrypt(aad[:12], plaintext, aad)


def packet_encrypt(certificate, key, plaintext):
    """PKT-ENC."""
    aes, nonce, aad = os.urandom(32), os.urandom(12), os.urandom(32)
    wrapped = key.public_key().encrypt(aes, oaep(hashes.SHA256()))
    thumbprint = hashlib.sha256(der(certificate)).digest()
    return nonce + aad + thumbprint + wrapped + b"#KEY_SPLITTER#" + AESGCM(aes).encrypt(nonce, plaintext, aad)


def hexhash(*parts):
    return hashlib.sha256(b"".join(parts)).hexdigest().upper().encode()


class Stream(io.RawIOBase):
    """Cannot seek, so that sizes and CRCs follow each file's data, as Java's ZipOutputStream writes them."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += data
        return len(data)

    def getvalue(self):
        return bytes(self.data)


def make_zip(entries):
    out = Stream()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


RID = "10001100020000120240229235959"
SOURCE, PROCESS, REF_ID = "OPENCRVS", "OPENCRVS_NEW", "10001_10002"


def sub_packet(name, fields, documents):
    identity = json.dumps({"identity": fields}, ensure_ascii=False).encode()
    entries = [(f"{field}.{kind}", data) for field, (kind, data) in documents.items()]
    meta = {
        "registrationId": RID,
        "creationDate": "2024-02-29T23:59:59.123Z",
        "metaData": [{"label": "centerId", "value": "10001"}],
        "hashSequence1": [{"label": "demographicSequence", "value": [*documents, "ID"]}],
    }
    data_hash = hexhash(*(d for _, d in documents.values()), identity)
    entries += [("ID.json", identity), ("packet_data_hash.txt", data_hash)]
    if name == "id":
        audit = json.dumps([{"eventId": "OPENCRVS_CREATE_PACKET", "id": RID}]).encode()
        meta["hashSequence2"] = [{"label": "otherFiles", "value": ["audit"]}]
        entries += [("audit.json", audit), ("packet_operations_hash.txt", hexhash(audit))]
    entries.append(("packet_meta_info.json", json.dumps({"identity": meta}).encode()))
    return make_zip(entries)


def make_packet(certificate, key, signer):
    fields = {
        "id": {
            "IDSchemaVersion": "0.1",
            "fullName": [{"language": "eng", "value": "Zoë Rao"}, {"language": "ara", "value": "ليلى"}],
            "dateOfBirth": "2024/02/29",
            "phone": "9898989898",
            "proofOfIdentity": {"value": "proofOfIdentity", "type": "DOC001", "format": "pdf", "refNumber": None},
        },
        "evidence": {"IDSchemaVersion": "0.1"},
        "optional": {"IDSchemaVersion": "0.1"},
    }
    documents = {"id": {"proofOfIdentity": ("pdf", b"%PDF-1.4 vector")}, "evidence": {}, "optional": {}}
    container = []
    for name in ("evidence", "optional", "id"):
        plain = sub_packet(name, fields[name], documents[name])
        sealed = packet_encrypt(certificate, key, plain)
        info = {
            "id": RID, "packetname": f"{RID}_{name}", "source": SOURCE, "process": PROCESS, "refid": REF_ID,
            "schemaversion": "0.1", "signature": b64url(sign(signer, plain, hashes.SHA256())),
            "encryptedhash": b64url(hashlib.sha256(sealed).digest()), "providername": "PacketWriterImpl",
            "providerversion": "v1.0", "creationdate": "2024-02-29T23:59:59.123456Z",
        }
        container.append((f"{SOURCE}/{PROCESS}/{RID}_{name}.zip", sealed))
        container.append((f"{SOURCE}/{PROCESS}/{RID}_{name}.json", json.dumps(info).encode()))
    return packet_encrypt(certificate, key, make_zip(container))


def js_encode_uri_component(raw):
    return urllib.parse.quote(raw, safe="-_.!~*'()")


def swift(path, enum, doc, values, access=""):
    lines = [
        "// Made by Tests/Vectors/make-vectors.py; not for editing. The keys were made for these tests alone.",
        "// swift-format-ignore-file", "", f"/// {doc}", f"{access}enum {enum} {{",
    ]
    for name, value in values.items():
        if "\n" in value:
            lines.append(f'  {access}static let {name} = """')
            lines += ["    " + line for line in value.rstrip("\n").split("\n")]
            lines += ["", '    """'] if value.endswith("\n") else ['    """']
        else:
            lines.append(f'  {access}static let {name} = #"{value}"#')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines + ["}", ""]))


def main():
    key_values, keys, certificates = {}, {}, {}
    for bits in (2048, 3072, 4096):
        keys[bits] = make_key(bits)
        certificates[bits] = make_certificate(keys[bits], f"vectors {bits}")
        key_values[f"key{bits}"] = pem(keys[bits])
        key_values[f"certificate{bits}"] = certificates[bits].public_bytes(serialization.Encoding.PEM).decode()
    other = make_key(2048)
    key_values["otherKey"] = pem(other)
    key_values["shortKey"] = pem(make_key(1024))
    key_values["thumbprint2048"] = hashlib.sha256(der(certificates[2048])).hexdigest()
    swift(TESTS / "Support/VectorKeys.swift", "VectorKeys", "Keys and certificates for tests.", key_values, "public ")

    key, message = keys[2048], "Zoë, ليلى".encode()
    aes, nonce12, nonce16, aad = bytes(range(32)), bytes(range(12)), bytes(range(16)), b"additional"
    header = b64url(b'{"alg":"RS256","typ":"JWT"}')
    claims = b64url(b'{"sub":"regproc","exp":1709251200}')
    values = {
        "message": message.decode(),
        "oaepSHA256": b64(key.public_key().encrypt(aes, oaep(hashes.SHA256()))),
        "oaepSHA1": b64(key.public_key().encrypt(aes, oaep(hashes.SHA1()))),
        "signatureSHA256": b64(sign(key, message, hashes.SHA256())),
        "signatureSHA512": b64(sign(key, message, hashes.SHA512())),
        "gcm12": b64(AESGCM(aes).encrypt(nonce12, message, aad)),
        "gcm16": b64(AESGCM(aes).encrypt(nonce16, message, aad)),
        "sha256": hashlib.sha256(message).hexdigest(),
        "sha512": hashlib.sha512(message).hexdigest(),
        "hmacSHA1": hmac.new(b"key", message, "sha1").hexdigest(),
        "hmacSHA256": hmac.new(b"key", message, "sha256").hexdigest(),
        "hmacSHA384": hmac.new(b"key", message, "sha384").hexdigest(),
        "hmacSHA512": hmac.new(b"key", message, "sha512").hexdigest(),
        "hmacEmptyKey": hmac.new(b"", message, "sha256").hexdigest(),
        "jwt": f"{header}.{claims}." + b64url(sign(key, f"{header}.{claims}".encode(), hashes.SHA256())),
        "spki": b64(key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)),
        "modulus": b64url(key.public_key().public_numbers().n.to_bytes(256, "big")),
    }
    swift(TESTS / "CryptographyTests" / "Vectors.swift", "Vectors", "What independent code made.", values)

    plaintext = '{"uinToken":"1234","name":"Zoë ليلى"}'.encode()
    body = '{"name":"Zoë ليلى","sign":"a b+c/d?e&f=g!~*\'()","emoji":"😀"}'
    blobs = {bits: envelope(certificates[bits], keys[bits], plaintext) for bits in keys}
    random_print = envelope(certificates[2048], key, plaintext, os.urandom(32))
    values = {
        "plaintext": plaintext.decode(),
        **{f"envelope{bits}": b64(blob) for bits, blob in blobs.items()},
        "envelopeRandomThumbprint": b64(random_print),
        "envelopeNoThumbprint": b64(envelope(certificates[2048], key, plaintext, b"")),
        "toMosipSignature": b64(sign(other, blobs[2048], hashes.SHA512())),
        "toCrvsSignature": b64url(sign(other, plaintext, hashes.SHA512())),
        "hookBody": body,
        "hookSignature": "sha256=" + hmac.new(
            b"hook secret", ("sha256:" + js_encode_uri_component(body.encode())).encode(), "sha256").hexdigest(),
        "hubSignature256": "sha256=" + hmac.new(b"hook secret", body.encode(), "sha256").hexdigest(),
        "hubSignature512": "sha512=" + hmac.new(b"hook secret", body.encode(), "sha512").hexdigest(),
        "hubSignature1": "sha1=" + hmac.new(b"hook secret", body.encode(), "sha1").hexdigest(),
    }
    swift(TESTS / "RegistrationTests/Envelope/EnvelopeVectors.swift", "EnvelopeVectors",
          "What independent code made.", values)
    swift(TESTS / "RegistrationTests/Packet/PacketVectors.swift", "PacketVectors",
          "A packet that independent code made: encrypted for key2048, signed by otherKey.",
          {"packet": b64(make_packet(certificates[2048], key, other))})


main()
