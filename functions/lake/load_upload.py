"""At an upload, and invoked by lake.sweep_uploads and itself: load an uploaded file into its dataset."""

from typing import Self
from uuid import UUID

from datapunk.deployment import operator_function
from datapunk.lake.loading import load
from datapunk.lake.uploads import PREFIX
from datapunk.telemetry import logger
from pydantic import BaseModel, Field, model_validator


class StoredObject(BaseModel):
    """What EventBridge says of the object."""

    key: str = Field(pattern=f"^{PREFIX}")


class Detail(BaseModel):
    """What EventBridge says of an upload."""

    object: StoredObject


class Work(BaseModel):
    """The job that is to be gone on with, or the event that its file is there."""

    job: UUID | None = None
    detail: Detail | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.job is None and self.detail is not None:
            self.job = UUID(self.detail.object.key.removeprefix(PREFIX))
        if self.job is None:
            message = "names no job"
            raise ValueError(message)
        return self


class Done(BaseModel):
    """What became of it."""

    outcome: str


@operator_function("lake.load_upload")
def handler(wanted: Work) -> Done:
    """Go on as far as the time allows; somebody else's job is left alone."""
    assert wanted.job is not None  # noqa: S101 -- validated above
    done = Done(outcome=load(wanted.job))
    logger().info("upload", extra={"outcome": done.outcome, "job": str(wanted.job)})
    return done
