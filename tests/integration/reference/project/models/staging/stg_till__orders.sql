{{ stage_from_contract() }}
