#!/usr/bin/env python3
"""The other side of envelopes and packets, with Python's zipfile and the cryptography package: it shares nothing with the
project's code. The words are those of java/Peer.java."""

import base64
import hashlib
import io
import json
import os
import sys
import zipfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

RID = "10001100020000120240229235959"
SPLITTER = b"#KEY_SPLITTER#"
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def certificate(path):
    return x509.load_pem_x509_certificate(open(path, "rb").read())


def private_key(path):
    return serialization.load_pem_private_key(open(path, "rb").read(), None)


def sha256(data):
    return hashlib.sha256(data).digest()


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_b64url(text):
    if "+" in text or "/" in text:
        raise ValueError("standard alphabet")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def seal_envelope(plaintext, cert):
    key, aad = os.urandom(32), os.urandom(32)
    return (
        b"VER_R2" + os.urandom(32) + cert.public_key().encrypt(key, OAEP) + SPLITTER + aad
        + AESGCM(key).encrypt(aad[:12], plaintext, aad)
    )


def open_envelope(blob, key):
    assert blob[:6] == b"VER_R2"
    splitter = 38 + key.key_size // 8
    assert blob[splitter : splitter + 14] == SPLITTER
    aes = key.decrypt(blob[38:splitter], OAEP)
    aad = blob[splitter + 14 : splitter + 46]
    return AESGCM(aes).decrypt(aad[:12], blob[splitter + 46 :], aad)


def seal_body(plaintext, way, key, cert):
    to_mosip = way == "crvs-to-mosip"
    data = seal_envelope(plaintext, cert)
    signature = key.sign(data if to_mosip else plaintext, padding.PKCS1v15(), hashes.SHA512())
    encode = (lambda b: base64.b64encode(b).decode()) if to_mosip else b64url
    return json.dumps({"id": "", "requestTime": "", "data": encode(data), "signature": encode(signature)}).encode()


def open_body(body, way, key, cert):
    to_mosip = way == "crvs-to-mosip"
    decode = (lambda t: base64.b64decode(t, validate=True)) if to_mosip else from_b64url
    body = json.loads(body)
    data, signature = decode(body["data"]), decode(body["signature"])
    plaintext = open_envelope(data, key)
    cert.public_key().verify(signature, data if to_mosip else plaintext, padding.PKCS1v15(), hashes.SHA512())
    return plaintext


def seal_packet(plaintext, cert):
    key, nonce, aad = os.urandom(32), os.urandom(12), os.urandom(32)
    thumbprint = sha256(cert.public_bytes(serialization.Encoding.DER))
    return (
        nonce + aad + thumbprint + cert.public_key().encrypt(key, OAEP) + SPLITTER
        + AESGCM(key).encrypt(nonce, plaintext, aad)
    )


def open_packet(blob, key):
    end = 76 + key.key_size // 8
    assert blob[end : end + 14] == SPLITTER
    aes = key.decrypt(blob[76:end], OAEP)
    return AESGCM(aes).decrypt(blob[:12], blob[end + 14 :], blob[12:44])


def zipped(files, method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def unzipped(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def hex_hash(data):
    return sha256(data).hex().upper().encode()


def write_packet(document, key, cert):
    container = {}
    for name in ["optional", "id", "evidence"]:
        identity = {"IDSchemaVersion": 0.1}
        files = {}
        sequence = ["ID"]
        if name == "id":
            identity["fullName"] = [{"language": "eng", "value": "Zoë Rao"}, {"language": "ara", "value": "ليلى"}]
            identity["proofOfIdentity"] = {
                "value": "proofOfIdentity", "type": "DOC001", "format": "pdf", "refNumber": None}
            files["proofOfIdentity.pdf"] = document
            sequence = ["proofOfIdentity", "ID"]
        files["ID.json"] = json.dumps({"identity": identity}, ensure_ascii=False, indent=1).encode()
        files["packet_data_hash.txt"] = hex_hash(b"".join(files.values()))
        meta = {
            "registrationId": RID, "creationDate": "2024-02-29T23:59:59.123Z",
            "hashSequence1": [{"label": "demographicSequence", "value": sequence}]}
        if name == "id":
            files["audit.json"] = b'[{"eventId":"PYTHON"}]'
            files["packet_operations_hash.txt"] = hex_hash(files["audit.json"])
            meta["hashSequence2"] = [{"label": "otherFiles", "value": ["audit"]}]
        files["packet_meta_info.json"] = json.dumps({"identity": meta}).encode()
        plaintext = zipped(files, zipfile.ZIP_DEFLATED)
        encrypted = seal_packet(plaintext, cert)
        path = f"OPENCRVS/OPENCRVS_NEW/{RID}_{name}"
        container[path + ".zip"] = encrypted
        container[path + ".json"] = json.dumps({
            "id": RID, "packetname": f"{RID}_{name}", "source": "OPENCRVS", "process": "OPENCRVS_NEW",
            "refid": "10001_10002", "schemaversion": "0.1",
            "signature": b64url(key.sign(plaintext, padding.PKCS1v15(), hashes.SHA256())),
            "encryptedhash": b64url(sha256(encrypted)), "providername": "PacketWriterImpl", "providerversion": "v1.0",
            "creationdate": "2024-02-29T23:59:59.1Z"})
    return seal_packet(zipped(container, zipfile.ZIP_STORED), cert)


def read_packet(packet, key, cert):
    container = unzipped(open_packet(packet, key))
    lines = []
    for path in [name[:-4] for name in container if name.endswith(".zip")]:
        about = json.loads(container[path + ".json"])
        encrypted = container[path + ".zip"]
        assert from_b64url(about["encryptedhash"]) == sha256(encrypted)
        plaintext = open_packet(encrypted, key)
        cert.public_key().verify(from_b64url(about["signature"]), plaintext, padding.PKCS1v15(), hashes.SHA256())
        files = unzipped(plaintext)
        stems = {name.rsplit(".", 1)[0]: content for name, content in files.items()}
        meta = json.loads(files["packet_meta_info.json"])["identity"]
        for sequence, hash_file in [("hashSequence1", "packet_data_hash"), ("hashSequence2", "packet_operations_hash")]:
            if sequence not in meta:
                continue
            listed = b"".join(stems[name] for group in meta[sequence] for name in group["value"])
            assert hex_hash(listed) == stems[hash_file]
        json.loads(files["ID.json"])
        for name, content in files.items():
            lines.append(f"{path.rsplit('_', 1)[1]}/{name} {hex_hash(content).decode()}\n")
    return "".join(lines).encode()


def main():
    data = sys.stdin.buffer.read()
    verb, *rest = sys.argv[1:]
    out = {
        "seal-envelope": lambda: seal_envelope(data, certificate(rest[0])),
        "open-envelope": lambda: open_envelope(data, private_key(rest[0])),
        "seal-body": lambda: seal_body(data, rest[0], private_key(rest[1]), certificate(rest[2])),
        "open-body": lambda: open_body(data, rest[0], private_key(rest[1]), certificate(rest[2])),
        "write-packet": lambda: write_packet(data, private_key(rest[0]), certificate(rest[1])),
        "read-packet": lambda: read_packet(data, private_key(rest[0]), certificate(rest[1])),
    }[verb]()
    sys.stdout.buffer.write(out)


main()
