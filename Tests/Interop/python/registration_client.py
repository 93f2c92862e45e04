#!/usr/bin/env python3
"""Speaks to the packet receiver as MOSIP's registration client does, with nothing but the standard library and the cryptography package.

    registration_client.py URL CERTIFICATE REF_ID TOKEN RID PROCESS PACKET

Announces and uploads the packet, right and wrong, and prints one line for each answer: the step, a tab, what was answered."""

import base64
import hashlib
import json
import os
import sys
import urllib.request
import uuid
from datetime import datetime, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

URL, CERTIFICATE, REF_ID, TOKEN, RID, PROCESS, PACKET = sys.argv[1:]
BASE = URL + "/registrationprocessor/v1"
PACKET_BYTES = open(PACKET, "rb").read()


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (datetime.now().microsecond // 1000)


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_b64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def seal(plaintext):
    """What the key manager makes of a request: nonce, AAD, thumbprint, wrapped key, splitter, ciphertext with its tag."""
    certificate = x509.load_pem_x509_certificate(open(CERTIFICATE, "rb").read())
    key, nonce, aad = AESGCM.generate_key(256), os.urandom(12), os.urandom(32)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    wrapped = certificate.public_key().encrypt(key, oaep)
    thumbprint = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()
    return nonce + aad + thumbprint + wrapped + b"#KEY_SPLITTER#" + AESGCM(key).encrypt(nonce, plaintext, aad)


def check_signature(response, body):
    """Response-Signature is a JWS over the body, which is left out of it, by the certificate in its header."""
    header, nothing, signature = response.headers["Response-Signature"].split(".")
    assert nothing == ""
    fields = json.loads(from_b64url(header))
    assert fields["alg"] == "RS256"
    signer = x509.load_der_x509_certificate(base64.b64decode(fields["x5c"][0]))
    signer.public_key().verify(
        from_b64url(signature), (header + "." + b64url(body)).encode(), padding.PKCS1v15(), hashes.SHA256())


def post(path, body, headers):
    request = urllib.request.Request(BASE + path, data=body, method="POST")
    request.add_header("Cookie", "Authorization=" + TOKEN)
    for name, value in headers.items():
        request.add_header(name, value)
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = response.read()
        check_signature(response, answer)
        return json.loads(answer)


def sync(path, record, spoil=False):
    request = {"id": "mosip.registration.sync", "version": "1.0", "requesttime": now(), "request": [record]}
    sealed = bytearray(seal(json.dumps(request).encode()))
    if spoil:
        sealed[-1] ^= 1
    headers = {"Content-Type": "application/json", "Center-Machine-RefId": REF_ID, "timestamp": now()}
    return post("/registrationstatus" + path, json.dumps(b64url(bytes(sealed))).encode(), headers)


def upload(content, name=None):
    boundary = uuid.uuid4().hex
    head = '--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: application/octet-stream\r\n\r\n'
    body = (head % (boundary, name or RID + ".zip", name or RID + ".zip")).encode() + content
    body += ("\r\n--%s--\r\n" % boundary).encode()
    return post(
        "/packetreceiver/registrationpackets", body, {"Content-Type": "multipart/form-data; boundary=" + boundary})


def ask(path, name, identifier, value):
    request = {"id": identifier, "version": "1.0", "requesttime": now(), "request": [{name: value}]}
    return post("/registrationstatus" + path, json.dumps(request).encode(), {"Content-Type": "application/json"})


def word(answer):
    if answer["errors"]:
        return "+".join(error["errorCode"] for error in answer["errors"])
    response = answer["response"]
    return (response if isinstance(response, dict) else response[0]).get("status") or response[0]["statusCode"]


def say(step, answer):
    print(step + "\t" + word(answer), flush=True)


RECORD = {
    "registrationId": RID, "packetId": RID, "additionalInfoReqId": None, "name": "A. Applicant",
    "email": "applicant@example.org", "phone": "9876543210",
    "registrationType": PROCESS, "packetHashValue": hashlib.sha256(PACKET_BYTES).hexdigest().upper(),
    "packetSize": len(PACKET_BYTES), "supervisorStatus": "APPROVED", "supervisorComment": "looks right", "langCode": "eng",
}

say("status before the announcement", ask("/search", "registrationId", "mosip.registration.status", RID))
say("upload before the announcement", upload(PACKET_BYTES))
say("announcement with one bit changed", sync("/sync", RECORD, spoil=True))
say("announcement in another language", sync("/sync", dict(RECORD, langCode="english")))
say("announcement", sync("/sync", RECORD))
say("announcement, second form", sync("/syncV2", RECORD))
say("status before the upload", ask("/packetexternalstatus", "packetId", "mosip.registration.packet.external.status", RID))
say("upload with one bit changed", upload(PACKET_BYTES[:-1] + bytes([PACKET_BYTES[-1] ^ 1])))
say("upload as another kind of file", upload(PACKET_BYTES, RID + ".exe"))
say("upload", upload(PACKET_BYTES))
say("upload, once more", upload(PACKET_BYTES))
