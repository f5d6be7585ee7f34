"""Feature flags: what an operator may change of a running platform without a deployment.

Code asks for a flag of the catalogue and gets a value of its type: `value(catalogue.LAKE_INGEST)`. Rules by
tenant, user and more are kept in AWS AppConfig or in a JSON file. The libraries that read them are imported
by the first question, so that a function which asks none does not pay for them.
"""

from datapunk.flags.evaluation import Evaluation, Reason, evaluate, value

__all__ = ["Evaluation", "Reason", "evaluate", "value"]
