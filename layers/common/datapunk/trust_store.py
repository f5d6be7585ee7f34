"""The trust store of API Gateway's mutual TLS: an object with versions, and the domain that uses one.

API Gateway copies the roots when it is told to use a version, so a new one counts once the domain names it.
"""

from __future__ import annotations

from datapunk.aws import STORE, client_of, translated
from datapunk.settings import settings
from datapunk.telemetry import logger

KEY = "trust/bundle.pem"
MEDIA_TYPE = "application/x-pem-file"
_GATEWAY = "apigateway"


def publish_roots(bundle: str) -> str:
    """Have the gateway trust these roots, PEM one after the other, and return the version that it uses.

    Nothing is written that is there already. Without a domain (`MUTUAL_TLS_DOMAIN`), or while it is not made
    yet, the object alone is written. Raises UnavailableError when AWS does not take it: do it again.
    """
    bucket = settings().bucket()
    version = _write(bucket, bundle.encode())
    domain = settings().mutual_tls_domain
    if domain:
        _use(domain, f"s3://{bucket}/{KEY}", version)
    return version


def _write(bucket: str, content: bytes) -> str:
    client = client_of(STORE)
    with translated(STORE):
        try:
            found = client.get_object(Bucket=bucket, Key=KEY)
        except client.exceptions.NoSuchKey:
            found = None
        if found is not None and found["Body"].read() == content:
            return str(found["VersionId"])
        # Not with the bucket's own key: the roots are public, and the gateway has no right to that key.
        written = client.put_object(
            Bucket=bucket,
            Key=KEY,
            Body=content,
            ContentType=MEDIA_TYPE,
            ServerSideEncryption="AES256",
        )
        return str(written["VersionId"])


def _use(domain: str, uri: str, version: str) -> None:
    client = client_of(_GATEWAY)
    with translated(_GATEWAY):
        try:
            known = client.get_domain_name(domainName=domain)
        except client.exceptions.NotFoundException:
            # A stack makes its domain after the roots, and with the version that is there then.
            logger().info("the domain of mutual TLS is not there yet", extra={"domain": domain})
            return
        used = known.get("mutualTlsAuthentication", {})
        if (used.get("truststoreUri"), used.get("truststoreVersion")) == (uri, version):
            return
        wanted = {"truststoreUri": uri, "truststoreVersion": version}
        answer = client.update_domain_name(
            domainName=domain,
            patchOperations=[
                {"op": "replace", "path": f"/mutualTlsAuthentication/{name}", "value": value}
                for name, value in wanted.items()
            ],
        )
        warnings = answer.get("mutualTlsAuthentication", {}).get("truststoreWarnings", [])
        if warnings:
            logger().warning("the gateway warns of a root", extra={"warnings": warnings})
