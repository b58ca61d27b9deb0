"""The Spec: everything asked for, frozen and validated once.

One model is the command line, the YAML file and the methodology block of every result. Times are seconds in fields
ending in `_s` and milliseconds in fields ending in `_ms`; YAML may write them as "500ms", "10s" or "2m" too.
"""

from loadcell.lengths import Lengths as Lengths
from loadcell.lengths import parse_lengths as parse_lengths
from loadcell.media import Media as Media
from loadcell.places import Slo as Slo
from loadcell.replaying import Replay as Replay
from loadcell.sessions import Sessions as Sessions
from loadcell.sessions import parse_times as parse_times
from loadcell.spec.build import build_spec as build_spec
from loadcell.spec.build import describe_field as describe_field
from loadcell.spec.build import field_from_text as field_from_text
from loadcell.spec.build import spec_fields as spec_fields
from loadcell.spec.build import with_fields as with_fields
from loadcell.spec.check import checked as checked
from loadcell.spec.defaults import LEAST_DURATION_S as LEAST_DURATION_S
from loadcell.spec.defaults import LEAST_E2E as LEAST_E2E
from loadcell.spec.defaults import RAMP_SHARE as RAMP_SHARE
from loadcell.spec.defaults import default_ramp_s as default_ramp_s
from loadcell.spec.defaults import keeps_load as keeps_load
from loadcell.spec.defaults import with_defaults as with_defaults
from loadcell.spec.model import LIMITED as LIMITED
from loadcell.spec.model import Endpoint as Endpoint
from loadcell.spec.model import Load as Load
from loadcell.spec.model import LoadGen as LoadGen
from loadcell.spec.model import Seeds as Seeds
from loadcell.spec.model import Spec as Spec
from loadcell.spec.model import Workload as Workload
from loadcell.spec.model import spec_schema as spec_schema
from loadcell.spec.notation import Arrivals as Arrivals
from loadcell.spec.notation import parse_arrivals as parse_arrivals
from loadcell.spec.notation import parse_duration_s as parse_duration_s
from loadcell.spec.notation import parse_size_mb as parse_size_mb
from loadcell.spec.notation import parse_slo as parse_slo
from loadcell.spec.redaction import redact as redact
from loadcell.spec.redaction import secrets_of as secrets_of
from loadcell.spec.scenario import Change as Change
from loadcell.spec.scenario import changes as changes
from loadcell.spec.scenario import says_changed as says_changed
from loadcell.spec.scenario import scenario_of as scenario_of
from loadcell.spec.series import NO_SERIES as NO_SERIES
from loadcell.spec.series import Series as Series
from loadcell.spec.series import parse_series as parse_series
