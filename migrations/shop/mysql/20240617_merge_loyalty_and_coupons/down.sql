DROP VIEW customer_standing;
