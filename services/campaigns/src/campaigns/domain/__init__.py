"""Pure decisions of campaigns, vouchers, validation rules and assignments."""
