"""POST /v1/lake/erasures: erase a person; rows stay, what was encrypted about them is gone for everybody."""

from datapunk.database import transaction
from datapunk.http import http_function
from datapunk.lake.privacy.erasure import Erasure, Person
from datapunk.lake.privacy.erasure import erase_person as erase
from datapunk.outbox import relay_now

app, handler = http_function("lake.erase_person")


@app.post("/v1/lake/erasures", tags=["lake"])
def erase_person(person: Person) -> Erasure:
    """Destroy the person's data keys in all datasets of the tenant; what is emptied beside is listed."""
    with transaction() as tx:
        erasure = erase(tx, person)
    relay_now()
    return erasure
