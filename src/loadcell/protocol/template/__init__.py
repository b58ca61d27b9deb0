"""An API that a person describes in YAML (`loadcell.api_template`): requests by Jinja, replies by JMESPath."""
